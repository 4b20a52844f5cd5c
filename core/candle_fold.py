"""The candle fold: trades of one instrument become candles of one timeframe.

A candle closes when the watermark (the largest event time seen, or a tick, minus the lateness) passes its end.
The fold looks at one trade after another, so that its result does not depend on how trades are batched: a trade
is late when its candle was closed by the trades before it. Open and close follow (event time, id), not arrival.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core import candle_kernel as kernel
from core.candle_kernel import NOTHING, SCALE
from core.candles import CandleBatch
from core.errors import IntegrityError
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
    price_scale: int = 0
    size_scale: int = 0

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
    state: CandleFold, trades: TradeBatch | None, until: int = NOTHING, offset: int = -1
) -> tuple[CandleFold, Folded]:
    """Fold trades (in order of arrival), then let venue time pass to ``until`` (µs; a tick).

    ``offset`` is the journal offset of the tick. Raises `IntegrityError` where a price or size is no decimal of at
    most 15 significant digits: decoding refuses those, so they can only come from damaged storage.
    """
    trades = _NO_TRADES if trades is None else trades
    state = _own(state)
    state, ticks, lots = _integers(state, trades)
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
            trades.ids,
            trades.price,
            ticks,
            lots,
            trades.side,
            trades.fills,
            until,
            closed,
            prices,
            sums,
            late,
        )
        n = int(state.cursor[kernel.CLOSED])
        parts.append(_batch(state, closed[:n], prices[:n], sums[:n], trades.offset, offset))
        state.cursor[kernel.CLOSED] = 0
    whole = parts[0] if len(parts) == 1 else CandleBatch.concat(parts)
    return state, Folded(whole, late[: state.cursor[kernel.LATE]].copy())


def flush(state: CandleFold, offset: int = -1) -> tuple[CandleFold, Folded]:
    """Close every open candle, as the end of a recording does."""
    last = int(state.slots[:, kernel.START].max())
    if last == NOTHING:
        return fold_trades(state, None)
    return fold_trades(state, None, last + state.timeframe.micros + state.lateness, offset)


def _own(state: CandleFold) -> CandleFold:
    return replace(
        state,
        cursor=state.cursor.copy(),
        slots=state.slots.copy(),
        prices=state.prices.copy(),
        sums=state.sums.copy(),
        last_close=state.last_close.copy(),
    )


def _integers(state: CandleFold, trades: TradeBatch) -> tuple[CandleFold, NDArray[np.uint64], NDArray[np.uint64]]:
    price_scale, ticks = to_integers(trades.price, state.price_scale)
    size_scale, lots = to_integers(trades.size, state.size_scale)
    kernel.rescale(state.sums, kernel.QUOTE, price_scale + size_scale - state.price_scale - state.size_scale)
    for column in (kernel.VOLUME, kernel.BUY):
        kernel.rescale(state.sums, column, size_scale - state.size_scale)
    return replace(state, price_scale=price_scale, size_scale=size_scale), ticks, lots


def to_integers(values: NDArray[np.float64], scale: int) -> tuple[int, NDArray[np.uint64]]:
    """Give the values as integers at the smallest scale >= ``scale`` that holds them all, and that scale.

    Raises `IntegrityError` for what is no decimal of at most 15 significant digits and 18 decimals.
    """
    out = np.empty(len(values), dtype=np.uint64)
    while True:
        done, needed = kernel.to_integers(values, scale, out)
        if done == len(values):
            return scale, out
        if needed < 0:
            why = "is no decimal of 15 significant digits" if needed == -1 else "is too large beside the others"
            raise IntegrityError(f"the value {values[done]!r} {why}")
        scale = needed


def _batch(
    state: CandleFold,
    closed: NDArray[np.int64],
    prices: NDArray[np.float64],
    sums: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    tick_offset: int,
) -> CandleBatch:
    sums = sums.copy()
    kernel.rescale(sums, kernel.QUOTE, SCALE - state.price_scale - state.size_scale)
    for column in (kernel.VOLUME, kernel.BUY):
        kernel.rescale(sums, column, SCALE - state.size_scale)
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
