"""All candles of one instrument: seconds and minutes from the trades, the larger ones from the minutes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from core.candle_fold import CandleFold, Folded, flush, fold_trades
from core.candles import Candle, CandleBatch
from core.continued import Continued
from core.continuity import PROVING
from core.exact import exactly
from core.gaps import Coverage, DirtyMinute
from core.id_ranges import Range
from core.plain import Plain
from core.roll_up import RollUp, roll_up
from core.timeframes import BASE, MINUTE, TIMEFRAMES


@dataclass(frozen=True, slots=True)
class CandleSeries(Plain):
    """Hold the open candles of one instrument in every timeframe; a value, never changed in place.

    ``unproven`` is the start of the first candle that was closed by the passing of time, while no later trade had
    proven that nothing was missing (µs since the epoch, UTC).
    """

    instrument: str
    base: tuple[CandleFold, ...]
    larger: tuple[RollUp, ...]
    ranges: tuple[Range, ...] = ()
    unproven: int | None = None

    @classmethod
    def start(cls, instrument: str, timeframes: Iterable[str], lateness: int) -> "CandleSeries":
        """Begin with nothing. ``timeframes`` are those to roll up; ``lateness`` is in µs."""
        names = [name for name in timeframes if TIMEFRAMES[name] not in BASE]
        return cls(
            instrument,
            tuple(CandleFold.start(instrument, tf, lateness) for tf in BASE),
            tuple(RollUp(TIMEFRAMES[name]) for name in names),
        )

    def adjusted(self, timeframes: Iterable[str], lateness: int) -> "CandleSeries":
        """Give the series as changed settings want it: with other larger timeframes, another lateness (µs).

        A timeframe that is new begins with the next minute; its first candle is not complete.
        """
        names = [name for name in timeframes if TIMEFRAMES[name] not in BASE]
        if names == [state.timeframe.name for state in self.larger] and lateness == self.base[0].lateness:
            return self
        known = {state.timeframe.name: state for state in self.larger}
        larger = tuple(known.get(name, RollUp(TIMEFRAMES[name])) for name in names)
        return replace(self, larger=larger, base=tuple(fold.waiting(lateness) for fold in self.base))


@dataclass(slots=True)
class Formed:
    """Collect what one call closed.

    ``base`` are the closed candles of the base timeframes, with ``complete`` told; ``larger`` those rolled up.
    ``dirty`` maps the minutes (start, µs) whose stored candles are no longer right to the reason.
    """

    base: list[CandleBatch] = field(default_factory=list)
    larger: list[Candle] = field(default_factory=list)
    dirty: dict[int, str] = field(default_factory=dict)

    def dirty_minutes(self, instrument: str, feed: str, offset: int) -> list[DirtyMinute]:
        """Give the dirty minutes as rows, made so by a journal record."""
        return [
            DirtyMinute(instrument, minute, feed, offset, reason)  # type: ignore[arg-type]
            for minute, reason in sorted(self.dirty.items())
        ]


def take(series: CandleSeries, continued: Continued) -> tuple[CandleSeries, Formed]:
    """Fold what the continuity fold let through."""
    formed = Formed()
    healed = [(span, "repaired") for span in continued.healed]
    for run in continued.runs:
        unproven = series.unproven
        if unproven is not None and run.ranges and (reached := run.ranges[-1].last_ts) >= unproven:
            healed.append(((unproven, reached), "proven"))
            # What closes a hole further down says nothing of the time since the newest trade.
            unproven = reached if reached < _closed(series) else None
        folds = []
        exact = exactly(run.trades)
        for fold in series.base:
            state, folded = fold_trades(fold, run.trades, exact=exact)
            folds.append(state)
            series = _collect(series, folded, run.ranges, formed)
            if len(folded.late):
                late = run.trades.ts[folded.late] // MINUTE * MINUTE
                formed.dirty.update(dict.fromkeys(np.unique(late).tolist(), "late_trade"))
        series = CandleSeries(series.instrument, tuple(folds), series.larger, run.ranges, unproven)
    if continued.ranges is not None:
        series = replace(series, ranges=continued.ranges)
    for span, reason in healed:
        _mark(series, span, reason, formed)
    return series, formed


def pass_time(series: CandleSeries, venue_time: int, offset: int) -> tuple[CandleSeries, Formed]:
    """Let venue time pass to ``venue_time`` (µs); ``offset`` is the journal offset of the tick.

    What closes so is not proven: the next trade has to show that no id is missing.
    """
    formed = Formed()
    folds = []
    for fold in series.base:
        state, folded = fold_trades(fold, None, venue_time, offset)
        folds.append(state)
        series = _collect(series, folded, series.ranges, formed)
        open_edge = folded.closed.start[~formed.base[-1].complete] if len(folded.closed) else folded.closed.start
        if len(open_edge):
            first = int(open_edge[0])
            series = replace(series, unproven=min(first, series.unproven or first))
    return replace(series, base=tuple(folds)), formed


def end(series: CandleSeries, offset: int) -> tuple[CandleSeries, Formed]:
    """Close what is open, as the end of a recording does; the last candles are not complete."""
    formed = Formed()
    folds = []
    for fold in series.base:
        state, folded = flush(fold, offset)
        folds.append(state)
        series = _collect(series, folded, series.ranges, formed)
    return replace(series, base=tuple(folds)), formed


def proven(ranges: Sequence[Range | Coverage], start: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell for each interval [start, end) whether one range of received ids reaches across both its edges."""
    complete = np.zeros(len(start), dtype=np.bool_)
    for known in ranges[-PROVING:]:
        complete |= (known.first_ts < start) & (known.last_ts >= end)
    return complete


def _collect(series: CandleSeries, folded: Folded, ranges: Sequence[Range], formed: Formed) -> CandleSeries:
    closed = folded.closed
    if len(closed) == 0:
        return series
    frame = TIMEFRAMES[closed.timeframe]
    closed = replace(closed, complete=proven(ranges, closed.start, closed.start + frame.micros))
    formed.base.append(closed)
    if frame.micros != MINUTE or not series.larger:
        return series
    states = list(series.larger)
    for minute in closed.candles():
        for i, state in enumerate(states):
            states[i], done = roll_up(state, minute)
            formed.larger.extend(done)
    return replace(series, larger=tuple(states))


def _mark(series: CandleSeries, span: tuple[int, int], reason: str, formed: Formed) -> None:
    first = span[0] // MINUTE * MINUTE
    last = min(span[1] // MINUTE * MINUTE, _closed(series) - 1)
    for minute in range(first, last + 1, MINUTE):
        formed.dirty.setdefault(minute, reason)


def _closed(series: CandleSeries) -> int:
    # Seconds close before their minute does: what is closed of it may already be wrong.
    return max(fold.closed_through for fold in series.base)
