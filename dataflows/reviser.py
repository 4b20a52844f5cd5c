"""The reviser: minutes that were marked dirty are folded again from the stored trades.

It is the one author of revisions above 0. It works on what is committed: a minute waits until the lake has reached
the record that made it dirty. Killed at any point it begins again: a revision that says nothing new is not written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.candle_fold import CandleFold, fold_trades
from core.candle_series import proven
from core.candles import Candle, CandleBatch
from core.gaps import Coverage, DirtyMinute
from core.timeframes import BASE, DAY, MINUTE
from dataflows.lake_sink import PARTITION
from storage.lake import LakeWriter, Session, reader
from storage.ledger.ledger import Ledger

LEASE = "reviser"
_MINUTES = 240
"""How many dirty minutes are taken at a time; what is in memory is bounded by their trades."""


@dataclass(frozen=True, slots=True)
class Revised:
    """Count the minutes that were folded again and the candles that came out different."""

    minutes: int = 0
    candles: int = 0


class Reviser:
    """Fold dirty minutes again. Hold the ledger's lease `LEASE` while using it: there is one reviser."""

    def __init__(self, ledger: Ledger, session: Session, writer: LakeWriter) -> None:
        self._ledger = ledger
        self._session = session
        self._writer = writer

    def revise(self) -> Revised:
        """Work off all dirty minutes that are ready; those that are not stay."""
        minutes = candles = 0
        skipped: set[tuple[str, int]] = set()
        while True:
            rows = self._ready(len(skipped) + _MINUTES)
            todo = [row for row in rows if (row.instrument, row.minute) not in skipped]
            if not todo:
                return Revised(minutes, candles)
            authored = reader.last_authored(self._session, {row.instrument for row in todo})
            # The dataflow has not closed these minutes yet: they become candles of revision 0 first.
            waiting = {
                (row.instrument, row.minute)
                for row in todo
                if row.feed and row.minute > authored.get(row.instrument, row.minute - 1)
            }
            skipped |= waiting
            taken = [row for row in todo if (row.instrument, row.minute) not in waiting]
            candles += self._fold_again(taken)
            minutes += len({(row.instrument, row.minute) for row in taken})
            self._ledger.clean(taken)

    def _ready(self, limit: int) -> list[DirtyMinute]:
        return self._ledger.dirty(LakeWriter(self._session, PARTITION).offsets(), limit)

    def _fold_again(self, rows: Sequence[DirtyMinute]) -> int:
        by_instrument: dict[str, set[int]] = defaultdict(set)
        for row in rows:
            by_instrument[row.instrument].add(row.minute)
        revisions: dict[int, list[CandleBatch]] = defaultdict(list)
        for instrument, minutes in by_instrument.items():
            close: tuple[int, float] | None = None
            for start, end in _stretches(minutes):
                last = self._with_quiet_after(instrument, end)
                before = close[1] if close and close[0] == start else self._close_before(instrument, start)
                for batch in self._fold(instrument, start, last, before):
                    if batch.timeframe == BASE[1].name and len(batch):
                        close = (last, float(batch.close[-1]))
                    for revision, part in self._news(instrument, batch, start, last):
                        revisions[revision].append(part)
        tables = [batch.to_arrow() for batches in revisions.values() for batch in batches]
        if tables:
            self._writer.revise(tables)
        return sum(table.num_rows for table in tables)

    def _with_quiet_after(self, instrument: str, end: int) -> int:
        """Give the end of the flat candles that follow: their price comes from the minutes before them."""
        for candle in reader.latest_candles(self._session, instrument, BASE[1].name, end, end + DAY):
            if candle.trade_count or candle.start != end:
                break
            end += MINUTE
        return end

    def _close_before(self, instrument: str, start: int) -> float | None:
        past = reader.history(self._session, instrument, BASE[1].name, start, 1)
        return past[-1].close if past else None

    def _fold(self, instrument: str, start: int, end: int, before: float | None) -> Iterator[CandleBatch]:
        trades = reader.trades(self._session, instrument, start, end)
        coverage = self._coverage(instrument, start, end)
        for frame in BASE:
            state = CandleFold.resume(instrument, frame, start, before)
            state, folded = fold_trades(state, trades, until=end)
            closed = folded.closed
            complete = proven(coverage, closed.start, closed.start + frame.micros)
            yield replace(closed, complete=complete)

    def _coverage(self, instrument: str, start: int, end: int) -> list[Coverage]:
        space = self._ledger.id_spaces().get(instrument, "trade")
        # Wider by a microsecond on both sides: what proves an edge lies beyond it.
        return self._ledger.coverage(instrument, space, start - 1, end + 1)

    def _news(self, instrument: str, batch: CandleBatch, start: int, end: int) -> Iterator[tuple[int, CandleBatch]]:
        stored = {
            candle.start: candle
            for candle in reader.latest_candles(self._session, instrument, batch.timeframe, start, end)
        }
        revised: dict[int, list[int]] = defaultdict(list)
        for row, candle in enumerate(batch.candles()):
            before = stored.get(candle.start)
            if before is None:
                revised[1].append(row)
            elif not _same(before, candle):
                revised[before.revision + 1].append(row)
        for revision, rows in revised.items():
            yield revision, replace(batch.take(np.array(rows)), revision=revision)


def _same(stored: Candle, folded: Candle) -> bool:
    return replace(stored, revision=0) == replace(folded, revision=0)


def _stretches(minutes: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join minutes that follow each other; yield (start, end)."""
    start = end = -1
    for minute in sorted(minutes):
        if minute != end:
            if end >= 0:
                yield start, end
            start = minute
        end = minute + MINUTE
    if end >= 0:
        yield start, end
