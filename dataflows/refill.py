"""Refilling gaps of an instrument: what the venue still has goes to the lake, what that proves to the ledger."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from core.continuity_in_time import SPACE
from core.gaps import Coverage, Gap
from core.id_ranges import Range, consecutive, unknown
from core.timeframes import MINUTE
from core.trades import TradeBatch
from dataflows import gap_trades
from dataflows.authorship import Author
from dataflows.gap_trades import Unanswered
from dataflows.gap_venues import Source
from exchanges import history
from exchanges.rest import Rest
from storage import lake
from storage.lake import Session
from storage.ledger.ledger import Ledger

Bounds: TypeAlias = tuple[str, int, int]
"""What names a gap of an instrument: id space, first and last id."""

CHUNK = 20_000
"""So many trades are stored together; who is killed has these to fetch again at most."""

_TOLERATED = 50
"""One trade in so many may be unknown where nothing is missing."""


@dataclass(slots=True)
class Refill:
    """Refill gaps of an instrument; everything may be repeated, and goes on where it was cut off.

    ``closed`` is the time that the dataflow has closed its minutes up to (µs since the epoch, UTC).
    ``received`` is called for each page, and gives the time (µs since the epoch, UTC); ``added`` counts the trades
    that were new to the lake, by the bounds of the gap.
    """

    ledger: Ledger
    session: Session
    author: Author
    rest: Rest
    source: Source
    closed: int
    received: Callable[[], int]
    added: Counter[Bounds] = field(default_factory=Counter)

    async def fetch(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Fetch what gaps of one id space miss, the oldest first; give them as they are then. Raises `Unanswered`.

        What has come before it is raised is stored.
        """
        if gaps[0].id_space == SPACE:
            return await self._in_time(gaps)
        return [await self._by_id(gap) for gap in gaps]

    def settle(self, gap: Gap, *, answered: bool) -> Gap:
        """Write what has become of a gap, and give it; what is missing of one that was ``answered`` stays missing."""
        left = sum(last - first + 1 for first, last in self._missing(gap))
        now = replace(gap, missing=min(left, gap.missing), unfillable=gap.unfillable or (answered and left > 0))
        if now != gap:
            self.author.tell([now], [], (gap.after_ts, gap.before_ts))
        return now

    async def _by_id(self, gap: Gap) -> Gap:
        for first, last in self._missing(gap):
            await self._fetch(gap, first, last)
        return self.settle(gap, answered=True)

    async def _fetch(self, gap: Gap, first: int, last: int) -> None:
        waiting: list[TradeBatch] = []
        try:
            async for page in gap_trades.by_id(self.rest, self.source, gap, first, last):
                self.received()
                if len(page):
                    waiting.append(page)
                if sum(map(len, waiting)) >= CHUNK:
                    self._store(gap, waiting)
                    waiting = []
        finally:
            self._store(gap, waiting)

    def _store(self, gap: Gap, pages: Sequence[TradeBatch]) -> None:
        if not pages:
            return
        trades = TradeBatch.concat(pages)
        trades = trades.take(np.unique(trades.ids, return_index=True)[1])
        self.added[bounds(gap)] += self.author.add(trades)
        firsts = trades.ids - trades.fills + 1
        coverage = [
            Coverage(
                trades.instrument,
                trades.id_space,
                int(firsts[low]),
                int(trades.ids[high - 1]),
                int(trades.ts[low]),
                int(trades.ts[low:high].max()),
            )
            for low, high in consecutive(firsts, trades.ids)
        ]
        self.author.tell([], coverage, (int(trades.ts.min()), int(trades.ts.max())))

    async def _in_time(self, gaps: Sequence[Gap]) -> list[Gap]:
        found = await gap_trades.back_to(self.rest, self.source, gaps[0], self.received)
        if found is None:
            return [self.settle(gap, answered=True) for gap in gaps]
        step = history.page_step(self.source.venue)
        if history.latest_time(np.array(found.last), step) < gaps[-1].before_ts:
            raise Unanswered("the newest trade that it gives is older than the gap", None)
        for gap in gaps:
            self._refuse_other_ids(gap, found.pages)
        settled = []
        for gap in gaps:
            # Pages that touch it alone: all of them together may be more than fit into memory twice.
            edge = history.page_time(self.source.venue, gap.after_ts)
            rows = [page.take((page.ts >= edge) & (page.ts <= gap.before_ts)) for page in found.pages]
            trades = TradeBatch.concat([page for page in rows if len(page)] or rows[:1])
            for low in range(0, len(trades), CHUNK):
                self.added[bounds(gap)] += self.author.add(trades.take(slice(low, low + CHUNK)))
            begin = max(found.whole_from, gap.after_ts)
            if begin <= gap.before_ts:
                whole = Coverage(gap.instrument, SPACE, begin, gap.before_ts, begin, gap.before_ts)
                self.author.tell([], [whole], (begin, gap.before_ts))
            settled.append(self.settle(gap, answered=found.reached or found.ended))
        return settled

    def _refuse_other_ids(self, gap: Gap, pages: Sequence[TradeBatch]) -> None:
        """Raise `Unanswered` where the venue knows what follows the gap under other ids than it was recorded with.

        Some exchanges give by REST each fill by itself, and over a websocket the fills of an order as one trade: then
        trades would be stored twice.
        """
        follows = self.ledger.coverage(gap.instrument, gap.id_space, gap.before_ts, gap.before_ts + 1)
        start, end = gap.before_ts + 1, min(gap.before_ts + MINUTE, self.closed, *(one.last_ts for one in follows))
        # A page may tell an earlier time of a trade than the websocket did.
        step = history.page_step(self.source.venue)
        known = lake.trades(self.session, gap.instrument, start, end + step, gap.id_space)
        told = np.concatenate([page.ids[(page.ts >= start) & (page.ts < end)] for page in pages])
        strangers = np.isin(told, [] if known is None else known.ids, invert=True)
        if int(strangers.sum()) * _TOLERATED > len(told):
            raise Unanswered("it gives trades after the gap under other ids than they were recorded with", None)

    def _missing(self, gap: Gap) -> list[tuple[int, int]]:
        """Give which ids (event times, where ids do not chain) of a gap the ledger knows nothing of, as ranges."""
        known = self.ledger.coverage(gap.instrument, gap.id_space, gap.after_ts, gap.before_ts + 1)
        ranges = tuple(Range(one.first_id, one.last_id, one.first_ts, one.last_ts) for one in known)
        return unknown(ranges, gap.first_id, gap.last_id)


def bounds(gap: Gap) -> Bounds:
    """Give what names a gap among those of its instrument."""
    return gap.id_space, gap.first_id, gap.last_id
