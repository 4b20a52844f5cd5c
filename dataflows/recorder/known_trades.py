"""What a feed's journal holds of each instrument's trades: the newest id, and which ids are missing."""

from collections.abc import Collection, Iterator
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from core import completeness
from core.completeness import Known
from core.continuity import Continuity
from core.continuity_in_time import ContinuityInTime
from core.errors import MalformedFrame
from core.id_ranges import Hole
from core.records import Command, Kind, Mark, Record, RecordBlock, Reread
from core.trades import TradeBatch
from dataflows.recorder.metrics import FeedMetrics
from dataflows.unreadable import BREAK, around, around_refused, too_early
from exchanges import history
from exchanges.decode import to_batches
from exchanges.venue import Venue
from storage.journal import Journal

TAIL_RECORDS = 300_000
"""How much of the journal is read at the start, to know holes from before it."""

DEEPEST_RECORDS = 3_000_000
"""How far back an instrument that is not in the tail is looked for."""

BLOCK_RECORDS = 16_384
_NEVER_A_GAP = 1 << 60
_REMEMBERED = 8_192
"""Of trades whose ids do not chain, so many of an instrument are known by id."""

Key = tuple[str, str]
"""An instrument's name and the id space of its trades."""


class KnownTrades:
    """Follow the trades of one feed's journal, block by block, in order.

    One thread calls `take`; any thread may ask, what is told are values. ``newest`` is the largest event time seen
    (µs since the epoch, UTC), ``received`` the last time of receipt, ``trades`` how many trades there were;
    ``acted`` is the largest offset of a command in the inbox that the feed's journal has a copy of, ``refused`` are
    the offsets of those that were refused. ``since`` is the time of receipt of the oldest record that was read at
    the start (µs since the epoch, UTC), None where none lies before it.
    """

    def __init__(self, venue: Venue, metrics: FeedMetrics | None = None) -> None:
        self._venue, self._metrics = venue, metrics
        self._states: dict[Key, Known] = {}
        self._ids: dict[Key, NDArray[np.int64]] = {}
        self.newest = self.received = self.trades = 0
        self.acted = -1
        self.refused: set[int] = set()
        self.since: int | None = None

    def take(self, block: RecordBlock) -> None:
        """Follow the next records of the feed."""
        for part in _of_one_kind(block):
            kind = int(part.kinds[0])
            if kind in (Kind.MARK, Kind.REREAD):
                self._take_events(part)
            elif kind == Kind.FRAME:
                self._take_frames(part)
            else:
                self._take_batches(self._batches(part), live=False)
        self.received = max(self.received, int(block.received[-1]))

    def read_tail(self, journal: Journal, feed: str, instruments: Collection[str]) -> None:
        """Take the end of a journal; look deeper for the newest trades of instruments that are not in it.

        Afterwards frames are decoded without delay: the compiled scanner is loaded here.
        """
        to_batches(self._venue, RecordBlock.of(feed, 0, [Record(Kind.FRAME, 0, b"{}")]))
        first, last = journal.first_offset(feed), journal.last_offset(feed)
        begin = max(first, last + 1 - TAIL_RECORDS)
        for block in _blocks(journal, feed, begin, last):
            if begin > 0 and self.since is None:
                self.since = int(block.received[0])
            self.take(block)
        while begin > max(first, last - DEEPEST_RECORDS) and (missing := set(instruments) - self.instruments()):
            begin, end = max(first, begin - TAIL_RECORDS), begin - 1
            found: dict[Key, TradeBatch] = {}
            for block in _blocks(journal, feed, begin, end):
                for part in _of_one_kind(block):
                    found |= {(b.instrument, b.id_space): b for b in self._batches(part) if b.instrument in missing}
            self._take_batches(found.values(), live=False)

    def instruments(self) -> set[str]:
        """Give the instruments that have brought trades."""
        return {name for name, _ in list(self._states)}

    @property
    def cut_short(self) -> bool:
        """Tell whether a connection was up at the end: whoever recorded it ended without a word."""
        states = list(self._states.values())
        return any(isinstance(state, ContinuityInTime) and state.current is not None for state in states)

    def first_id(self, key: Key) -> int | None:
        """Give the oldest id; None before the first."""
        state = self._states.get(key)
        return state.ranges[0].first_id if state and state.ranges else None

    def last_id(self, key: Key) -> int | None:
        """Give the newest id; None before the first."""
        state = self._states.get(key)
        return state.ranges[-1].last_id if state and state.ranges else None

    def proven_until(self, key: Key) -> int:
        """Give up to which event time (µs) nothing is missing, apart from holes; 0 before the first trade."""
        state = self._states.get(key)
        if isinstance(state, ContinuityInTime):
            return state.proven[-1].last_ts if state.proven else state.newest
        return state.newest if state else 0

    def holes_of(self, key: Key) -> tuple[Hole, ...]:
        """Give what is missing of an instrument."""
        state = self._states.get(key)
        return state.holes if state else ()

    def last_time(self, key: Key) -> int:
        """Give the largest event time of an instrument (µs since the epoch, UTC); 0 before the first."""
        state = self._states.get(key)
        return state.newest if state else 0

    def holes(self) -> Iterator[tuple[Key, tuple[Hole, ...]]]:
        """Give the missing ids of each instrument that misses some."""
        for key, state in list(self._states.items()):
            if holes := state.holes:
                yield key, holes

    def missing(self, key: Key, first: int, last: int) -> list[tuple[int, int]]:
        """Give which of the ids ``first`` to ``last`` are not there, as ranges."""
        state = self._states.get(key)
        pieces = []
        for known in state.ranges if isinstance(state, Continuity) else ():
            if known.last_id < first:
                continue
            if known.first_id > last:
                break
            if known.first_id > first:
                pieces.append((first, known.first_id - 1))
            first = known.last_id + 1
        return [*pieces, (first, last)] if first <= last else pieces

    def unknown(self, trades: TradeBatch) -> TradeBatch:
        """Give the rows of a page whose ids are not there."""
        key = trades.instrument, trades.id_space
        state = self._states.get(key)
        if isinstance(state, ContinuityInTime):
            fresh = ~np.isin(trades.ids, self._ids.get(key, np.zeros(0, np.int64)))
            latest = history.latest_time(trades.ts, history.page_step(self._venue))
            for known in state.proven:
                fresh &= (trades.ts <= known.first_ts) | (latest >= known.last_ts)
            return trades if fresh.all() else trades.take(fresh)
        wanted: NDArray[np.bool_] = np.zeros(len(trades), np.bool_)
        if len(trades):
            for first, last in self.missing(key, int(trades.ids.min()), int(trades.ids.max())):
                wanted |= (trades.ids >= first) & (trades.ids <= last)
        return trades if wanted.all() else trades.take(wanted)

    def _take_frames(self, part: RecordBlock) -> None:
        decoded = to_batches(self._venue, part)
        if decoded.malformed and self._metrics is not None:
            self._metrics.unreadable.inc(len(decoded.malformed))
        for piece in around(decoded.batches, decoded.malformed):
            if isinstance(piece, int):
                for mark in BREAK:
                    self._mark(mark)
            else:
                self._take_batches([piece], live=True)

    def _batches(self, part: RecordBlock) -> list[TradeBatch]:
        kind = int(part.kinds[0])
        if kind == Kind.FRAME:
            return to_batches(self._venue, part).batches
        batches = []
        if kind == Kind.TRADES:
            for record in part.records():
                try:
                    batches.append(TradeBatch.from_ipc(record.payload))
                except MalformedFrame:
                    continue
        elif kind == Kind.COMMAND:
            for record in part.records():
                self._take_command(record.payload)
        return batches

    def _take_command(self, payload: bytes) -> None:
        try:
            values = msgspec.json.decode(payload, type=Command).values
            offset = int(values.get("offset", "-1"))
        except (msgspec.MsgspecError, ValueError):
            return
        self.acted = max(self.acted, offset)
        if "refused" in values:
            self.refused.add(offset)

    def _take_events(self, part: RecordBlock) -> None:
        for record in part.records():
            try:
                if record.kind == Kind.REREAD:
                    told = msgspec.json.decode(record.payload, type=Reread)
                    key = told.instrument, told.id_space
                    if key in self._states:
                        self._states[key], _ = completeness.reread(self._states[key], told)
                    continue
                mark = msgspec.json.decode(record.payload, type=Mark)
            except msgspec.MsgspecError:
                continue
            self._mark(mark)

    def _mark(self, mark: Mark) -> None:
        for key, state in list(self._states.items()):
            if isinstance(state, ContinuityInTime) and (mark.instruments is None or key[0] in mark.instruments):
                self._states[key], _ = completeness.mark(state, mark)

    def _take_batches(self, batches: Collection[TradeBatch], live: bool) -> None:
        for batch in batches:
            # What the dataflow will not believe is not there.
            for piece in around_refused(batch, too_early(batch), live):
                if isinstance(piece, int):
                    for mark in BREAK:
                        self._mark(msgspec.structs.replace(mark, instruments=(batch.instrument,)))
                else:
                    self._take_trades(piece, live)

    def _take_trades(self, trades: TradeBatch, live: bool) -> None:
        key = trades.instrument, trades.id_space
        state = self._states.get(key) or completeness.begun(*key, _NEVER_A_GAP)
        self._states[key], found = completeness.follow(state, trades, live=live)
        if isinstance(state, ContinuityInTime):
            kept = (self._ids.get(key, trades.ids[:0]), *(run.trades.ids for run in found.runs))
            self._ids[key] = np.concatenate(kept)[-_REMEMBERED:]
        self.newest = max(self.newest, int(trades.ts.max()))
        fresh = sum(len(run.trades) for run in found.runs)
        self.trades += fresh
        if self._metrics is not None:
            self._metrics.trades.inc(fresh)


def _blocks(journal: Journal, feed: str, first: int, last: int) -> Iterator[RecordBlock]:
    after = first - 1
    while after < last:
        block = journal.read(feed, after, min(BLOCK_RECORDS, last - after))
        if block is None:
            return
        yield block
        after = block.last_offset


def _of_one_kind(block: RecordBlock) -> list[RecordBlock]:
    edges = [0, *(np.flatnonzero(np.diff(block.kinds)) + 1).tolist(), len(block)]
    if len(edges) == 2:
        return [block]
    return [block.slice(low, high) for low, high in pairwise(edges)]
