"""The reviser: minutes that were marked dirty are folded again from the stored trades.

It is the one author of revisions above 0. It works on what is committed: a minute waits until the lake has reached
the record that made it dirty. Killed at any point it begins again: a revision that says nothing new is not written.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
_ALL = 2**62
_MINUTES = 240
"""How many dirty minutes are taken at a time; what is in memory is bounded by their trades."""


@dataclass(frozen=True, slots=True)
class Revised:
    """Count the minutes that were folded again, the candles that came out different, and the minutes left waiting."""

    minutes: int = 0
    candles: int = 0
    left: int = 0


class Reviser:
    """Fold dirty minutes again. Hold the ledger's lease `LEASE` while using it: there is one reviser."""

    def __init__(self, ledger: Ledger, session: Session, writer: LakeWriter) -> None:
        self._ledger = ledger
        self._session = session
        self._writer = writer

    def revise(self, stopped: Callable[[], bool] = lambda: False) -> Revised:
        """Work off all dirty minutes that are ready; those that are not stay. It ends early once it is stopped."""
        minutes = candles = 0
        skipped: set[tuple[str, int]] = set()
        while True:
            committed = LakeWriter(self._session, PARTITION).offsets()
            rows = self._ledger.dirty(committed, len(skipped) + _MINUTES)
            todo = [row for row in rows if (row.instrument, row.minute) not in skipped]
            if not todo or stopped():
                return Revised(minutes, candles, len(skipped) + len(todo))
            authored = reader.last_authored(self._session, {row.instrument for row in todo})
            # The dataflow has not closed these minutes yet: they become candles of revision 0 first.
            skipped |= {
                (row.instrument, row.minute)
                for row in todo
                if row.feed and row.minute > authored.get(row.instrument, row.minute - 1)
            }
            by_instrument: dict[str, list[DirtyMinute]] = defaultdict(list)
            for row in todo:
                if (row.instrument, row.minute) not in skipped:
                    by_instrument[row.instrument].append(row)
            revisions: list[CandleBatch] = []
            worked_off: list[DirtyMinute] = []
            for instrument, taken in by_instrument.items():
                done, news = self._fold_again(instrument, taken, committed, authored.get(instrument))
                skipped |= {(instrument, row.minute) for row in taken if row not in done}
                revisions += news
                worked_off += done
            # One commit for all of them: a connection that comes back makes every instrument's minutes dirty.
            if revisions:
                self._writer.revise([batch.to_arrow() for batch in revisions])
            self._ledger.clean(worked_off)
            minutes += len({(row.instrument, row.minute) for row in worked_off})
            candles += sum(map(len, revisions))

    def _fold_again(
        self, instrument: str, rows: Sequence[DirtyMinute], committed: Mapping[str, int], authored: int | None
    ) -> tuple[list[DirtyMinute], list[CandleBatch]]:
        """Fold the minutes of an instrument again; give those that were done, and the candles that changed."""
        space = self._ledger.id_spaces().get(instrument, "trade")
        wanted: set[int] = set()
        for start, end in _stretches({row.minute for row in rows}):
            last = self._end_of_effect(instrument, end)
            if authored is not None and last == authored + MINUTE and self._has_seconds(instrument, last):
                # The minute that is open may begin with seconds that have closed at the price before them.
                self._ledger.record(dirty=[replace(rows[-1], minute=last)])
            wanted.update(range(start, last, MINUTE))
        stretches = list(_stretches(wanted))
        # Wider by a microsecond on both sides: what proves an edge lies beyond it.
        coverage = {
            stretch: self._ledger.coverage(instrument, space, stretch[0] - 1, stretch[1] + 1) for stretch in stretches
        }
        # Coverage is told before its trades are in the lake. Whatever it told by now about these minutes has also
        # made them dirty, so those that wait for the lake are left alone until it has come so far.
        unready = self._unready(instrument, committed)
        revisions: list[CandleBatch] = []
        done: list[DirtyMinute] = []
        for start, end in stretches:
            if any(start <= minute < end for minute in unready):
                continue
            done.extend(row for row in rows if start <= row.minute < end)
            for batch in self._fold(instrument, space, start, end, coverage[start, end]):
                revisions.extend(self._news(instrument, batch, start, end))
        return done, revisions

    def _unready(self, instrument: str, committed: Mapping[str, int]) -> set[int]:
        everything = dict.fromkeys(self._ledger.feeds(), _ALL)
        return {
            row.minute
            for row in self._ledger.dirty(everything, _ALL)
            if row.instrument == instrument and row.feed and row.offset > committed.get(row.feed, -1)
        }

    def _end_of_effect(self, instrument: str, end: int) -> int:
        """Give the end of the first minute with trades after a change: until then its close is the price."""
        while True:
            for candle in reader.latest_candles(self._session, instrument, BASE[1].name, end, end + DAY):
                if candle.start != end:
                    return end
                end += MINUTE
                if candle.trade_count:
                    return end
            if not reader.latest_candles(self._session, instrument, BASE[1].name, end, end + MINUTE):
                return end

    def _has_seconds(self, instrument: str, start: int) -> bool:
        return bool(reader.latest_candles(self._session, instrument, BASE[0].name, start, start + MINUTE))

    def _close_before(self, instrument: str, start: int) -> float | None:
        past = reader.history(self._session, instrument, BASE[1].name, start, 1)
        return past[-1].close if past else None

    def _fold(
        self, instrument: str, space: str, start: int, end: int, coverage: Sequence[Coverage]
    ) -> Iterator[CandleBatch]:
        trades = reader.trades(self._session, instrument, start, end, space)
        before = self._close_before(instrument, start)
        for frame in BASE:
            state = CandleFold.resume(instrument, frame, start, before)
            state, folded = fold_trades(state, trades, until=end)
            closed = folded.closed
            complete = proven(coverage, closed.start, closed.start + frame.micros)
            yield replace(closed, complete=complete)

    def _news(self, instrument: str, batch: CandleBatch, start: int, end: int) -> Iterator[CandleBatch]:
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
            yield replace(batch.take(np.array(rows)), revision=revision)


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
