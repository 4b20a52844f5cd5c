"""The candle fold: trades of one instrument become candles of one timeframe.

A candle closes when the watermark (the largest event time seen, or a tick, minus the lateness) passes its end.
The fold looks at one trade after another, so that its result does not depend on how trades are batched: a trade
is late when its candle was closed by the trades before it. Open and close follow (event time, id), not arrival.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import candle_kernel as kernel
from core.candle_kernel import NOTHING
from core.candles import CandleBatch
from core.exact import Exact, exactly
from core.timeframes import DAY, HOUR, MINUTE, Timeframe
from core.trades import TradeBatch

_OUTPUTS = 4096


@dataclass(frozen=True, slots=True)
class CandleFold:
    """Hold the open candles of one instrument and timeframe; a value, never changed in place.

    ``closed_through`` is the end of the last closed interval and ``watermark`` the event time that closing has
    reached (µs since the epoch, UTC; `NOTHING` before the first trade).
    """

    instrument: str
    timeframe: Timeframe
    lateness: int
    cursor: NDArray[np.int64]
    slots: NDArray[np.int64]
    prices: NDArray[np.float64]
    sums: NDArray[np.uint64]
    last_close: NDArray[np.float64]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arrays together: each by itself costs six times as much."""
        arrays: tuple[NDArray[Any], ...] = (self.cursor, self.slots, self.prices, self.sums, self.last_close)
        data = b"".join([array.tobytes() for array in arrays])
        return _unpickled, (self.instrument, self.timeframe, self.lateness, len(self.slots), data)

    @classmethod
    def start(cls, instrument: str, timeframe: Timeframe, lateness: int) -> "CandleFold":
        """Begin with nothing; ``lateness`` is in µs."""
        ring = lateness // timeframe.micros + 3
        cursor = np.zeros(5, dtype=np.int64)
        cursor[kernel.NEXT_START] = cursor[kernel.WATERMARK] = NOTHING
        slots = np.zeros((ring, 6), dtype=np.int64)
        slots[:, kernel.START] = NOTHING
        return cls(
            instrument,
            timeframe,
            lateness,
            cursor,
            slots,
            np.zeros((ring, 4)),
            np.zeros((ring, 6), dtype=np.uint64),
            np.array([np.nan]),
        )

    @classmethod
    def resume(cls, instrument: str, timeframe: Timeframe, at: int, close: float | None) -> "CandleFold":
        """Begin at ``at`` (µs, the start of an interval) behind the price ``close``, with no lateness.

        Without a close there were no trades before, and intervals without any are left out until there are.
        """
        state = cls.start(instrument, timeframe, 0)
        state.cursor[kernel.NEXT_START] = state.cursor[kernel.WATERMARK] = at
        state.last_close[0] = np.nan if close is None else close
        return state

    def waiting(self, lateness: int) -> "CandleFold":
        """Give the same fold with another lateness (µs)."""
        if lateness == self.lateness:
            return self
        fold = CandleFold.start(self.instrument, self.timeframe, lateness)
        ring = len(fold.slots)
        opened = self.slots[:, kernel.START]
        # A shorter wait has fewer slots: what it would have closed by now must have a place until it is.
        if len(self.slots) > ring:
            fold = replace(fold, slots=self.slots.copy(), prices=self.prices.copy(), sums=self.sums.copy())
        else:
            for at in np.flatnonzero(opened != NOTHING):
                to = int(opened[at]) // self.timeframe.micros % ring
                fold.slots[to], fold.prices[to], fold.sums[to] = self.slots[at], self.prices[at], self.sums[at]
        return replace(fold, cursor=self.cursor.copy(), last_close=self.last_close.copy())

    @property
    def closed_through(self) -> int:
        """Give the start of the first interval that is not closed."""
        return int(self.cursor[kernel.NEXT_START])

    @property
    def watermark(self) -> int:
        """Give the watermark."""
        return int(self.cursor[kernel.WATERMARK])

    @property
    def longest_fill(self) -> int:
        """Give the longest stretch without trades, in µs, that is filled with flat candles at one time.

        An hour of seconds, a day of minutes: what is longer is an outage, which the gaps name; filling it would
        only invent rows.
        """
        return DAY if self.timeframe.micros >= MINUTE else HOUR


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """Hold what one call of `fold_trades` closed.

    ``closed`` has ``complete`` all false: completeness is the caller's to tell. ``late`` are the rows of the input
    that came after their candle had closed.
    """

    closed: CandleBatch
    late: NDArray[np.int64]


def fold_trades(
    state: CandleFold,
    trades: TradeBatch | None,
    until: int = NOTHING,
    offset: int = -1,
    exact: Exact | None = None,
) -> tuple[CandleFold, Folded]:
    """Fold trades (in order of arrival), then let venue time pass to ``until`` (µs; a tick).

    ``offset`` is the journal offset of the tick; ``exact`` is what `exactly` gives for these trades, for who folds
    them more than once. Raises `IntegrityError` where a price or size is no decimal of at most 15 significant
    digits: decoding refuses those, so they can only come from damaged storage.
    """
    trades = _NO_TRADES if trades is None else trades
    state = _own(state)
    (ticks, tick_scale), (lots, lot_scale) = exact or exactly(trades)
    closed = np.empty((_OUTPUTS, 3), dtype=np.int64)
    prices = np.empty((_OUTPUTS, 4))
    sums = np.empty((_OUTPUTS, 6), dtype=np.uint64)
    late = np.empty(max(len(trades), 1), dtype=np.int64)
    parts = []
    state.cursor[[kernel.ROW, kernel.CLOSED, kernel.LATE]] = 0
    done = False
    while not done:
        done = kernel.fold(
            state.cursor,
            state.slots,
            state.prices,
            state.sums,
            state.last_close,
            state.timeframe.micros,
            state.lateness,
            state.longest_fill,
            trades.ts,
            trades.places,
            trades.price,
            ticks,
            tick_scale,
            lots,
            lot_scale,
            trades.side,
            trades.fills,
            until,
            closed,
            prices,
            sums,
            late,
        )
        n = int(state.cursor[kernel.CLOSED])
        if n or not done:
            parts.append(_batch(state, closed[:n], prices[:n], sums[:n], trades.offset, offset))
        state.cursor[kernel.CLOSED] = 0
    if not parts:
        whole = _none(state.instrument, state.timeframe.name)
    else:
        whole = parts[0] if len(parts) == 1 else CandleBatch.concat(parts)
    missed = int(state.cursor[kernel.LATE])
    return state, Folded(whole, late[:missed].copy() if missed else _NO_ROWS)


def flush(state: CandleFold, offset: int = -1) -> tuple[CandleFold, Folded]:
    """Close every open candle, as the end of a recording does."""
    last = int(state.slots[:, kernel.START].max())
    if last == NOTHING:
        return fold_trades(state, None)
    return fold_trades(state, None, last + state.timeframe.micros + state.lateness, offset)


def _unpickled(instrument: str, timeframe: Timeframe, lateness: int, ring: int, data: bytes) -> CandleFold:
    words = np.frombuffer(data, dtype=np.int64).copy()
    cursor, slots, prices, sums, close = np.split(words, np.cumsum((5, 6 * ring, 4 * ring, 6 * ring)))
    return CandleFold(
        instrument,
        timeframe,
        lateness,
        cursor,
        slots.reshape(ring, 6),
        prices.view(np.float64).reshape(ring, 4),
        sums.view(np.uint64).reshape(ring, 6),
        close.view(np.float64),
    )


def _own(state: CandleFold) -> CandleFold:
    # Not dataclasses.replace: it costs as much as all the copies, and every trade pays it.
    return CandleFold(
        state.instrument,
        state.timeframe,
        state.lateness,
        state.cursor.copy(),
        state.slots.copy(),
        state.prices.copy(),
        state.sums.copy(),
        state.last_close.copy(),
    )


def _batch(
    state: CandleFold,
    closed: NDArray[np.int64],
    prices: NDArray[np.float64],
    sums: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    tick_offset: int,
) -> CandleBatch:
    open_, high, low, close = prices.T.copy()
    return CandleBatch(
        state.instrument,
        state.timeframe.name,
        closed[:, 0].copy(),
        open_,
        high,
        low,
        close,
        sums[:, 0:2].copy(),
        sums[:, 2:4].copy(),
        closed[:, 1].copy(),
        sums[:, 4:6].copy(),
        np.zeros(len(closed), dtype=np.bool_),
        np.append(offsets, tick_offset)[closed[:, 2]],
    )


@lru_cache(maxsize=4096)
def _none(instrument: str, timeframe: str) -> CandleBatch:
    whole, real, wide = np.empty(0, np.int64), np.empty(0), np.empty((0, 2), np.uint64)
    complete = np.empty(0, np.bool_)
    return CandleBatch(instrument, timeframe, whole, real, real, real, real, wide, wide, whole, wide, complete, whole)


def _empty() -> TradeBatch:
    def column(kind: type) -> NDArray[np.int64]:
        return np.empty(0, dtype=kind)

    whole, real = np.int64, np.float64
    return TradeBatch(
        "",
        "",
        column(whole),
        column(whole),
        column(whole),
        np.empty(0, dtype=real),
        np.empty(0, dtype=real),
        np.empty(0, dtype=np.int8),
        np.empty(0, dtype=np.int32),
        column(whole),
    )


_NO_TRADES = _empty()
_NO_ROWS = np.empty(0, dtype=np.int64)
