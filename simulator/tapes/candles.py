"""Candles of a tape: folded from its trades by the one fold, and joined to longer ones in columns."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from core.candle_fold import CandleFold, fold_trades
from core.candles import CandleBatch
from core.timeframes import BASE, Timeframe
from core.trades import TradeBatch

_SECOND, _MINUTE = BASE
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def base_of(timeframe: Timeframe) -> Timeframe:
    """Give the timeframe from whose candles those of ``timeframe`` are joined."""
    return _SECOND if timeframe == _SECOND else _MINUTE


def folded(
    instrument: str, base: Timeframe, trades: TradeBatch | None, start: int, end: int, close: float | None
) -> CandleBatch:
    """Fold the trades of [start, end), µs and both edges of ``base``; ``close`` is the price before them.

    Without a close there are no candles before the first trade.
    """
    state = CandleFold.resume(instrument, base, start, close)
    return fold_trades(state, trades, end)[1].closed


def none(instrument: str, timeframe: str) -> CandleBatch:
    """Give no candles."""
    return replace(folded(instrument, _MINUTE, None, 0, 0, None), timeframe=timeframe)


def joined(candles: CandleBatch, timeframe: Timeframe) -> CandleBatch:
    """Join base candles, in order and without a hole, to those of a longer timeframe; the same as `core.roll_up`."""
    if len(candles) == 0 or candles.timeframe == timeframe.name:
        return replace(candles, timeframe=timeframe.name)
    start = floors(timeframe, candles.start)
    first = np.flatnonzero(np.diff(start, prepend=start[0] - 1))
    last = np.append(first[1:], len(start)) - 1
    traded = candles.trade_count > 0
    rows = np.arange(len(start))
    # A candle without trades has the price of the one before it, which lies in another interval perhaps.
    opening = np.minimum.reduceat(np.where(traded, rows, len(rows)), first)
    opening = np.where(opening <= last, opening, first)
    some = np.logical_or.reduceat(traded, first)
    high = np.maximum.reduceat(np.where(traded, candles.high, -np.inf), first)
    low = np.minimum.reduceat(np.where(traded, candles.low, np.inf), first)
    return CandleBatch(
        candles.instrument,
        timeframe.name,
        start[first],
        candles.open[opening],
        np.where(some, high, candles.high[first]),
        np.where(some, low, candles.low[first]),
        candles.close[last],
        _sums(candles.volume, first),
        _sums(candles.quote_volume, first),
        np.add.reduceat(candles.trade_count, first),
        _sums(candles.taker_buy_volume, first),
        np.logical_and.reduceat(candles.complete, first),
        candles.offset[last],
    )


def first_start(timeframe: Timeframe, start: int) -> int:
    """Give the start of the first interval that does not begin before ``start`` (µs)."""
    floor = timeframe.floor(start)
    return floor if floor == start else timeframe.end(floor)


def floors(timeframe: Timeframe, ts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the start of the interval that holds each time, int64[n], µs."""
    if timeframe.micros:
        return (ts - timeframe.shift) // timeframe.micros * timeframe.micros + timeframe.shift
    months = ts.astype("datetime64[us]").astype("datetime64[M]")
    return months.astype("datetime64[us]").astype(np.int64)


def _sums(words: NDArray[np.uint64], first: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Add unsigned 128-bit numbers, uint64[n, 2] (low, high word), by groups that begin at ``first``."""
    carry = np.zeros(len(first), dtype=np.uint64)
    halves = []
    # By halves of a word, so that no sum of fewer than 2**32 rows overflows.
    for half in (words[:, 0] & _LOW, words[:, 0] >> _HALF, words[:, 1] & _LOW, words[:, 1] >> _HALF):
        total = np.add.reduceat(half, first) + carry
        halves.append(total & _LOW)
        carry = total >> _HALF
    return np.stack((halves[0] | halves[1] << _HALF, halves[2] | halves[3] << _HALF), axis=1)
