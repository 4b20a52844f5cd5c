"""A reel: one instrument's trades in blocks that follow each other in time, and how to look them up."""

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from core.candles import CandleBatch
from core.timeframes import Timeframe
from core.trades import TradeBatch
from simulator.tapes.candles import base_of, first_start, folded, joined, none

_ALL = 2**62


class Reel(ABC):
    """Look up the trades of one instrument; times are µs since the epoch, UTC.

    Block ``i`` holds the trades of [starts[i], ends[i]), whole minutes, in order of (event time, id); its ids are
    at least ``first_ids[i]`` and below those of the next block. No block has time of another; between them there
    may be time of none, when the market was closed.
    """

    def __init__(self, instrument: str, id_space: str) -> None:
        self.instrument = instrument
        self.nothing = empty(instrument, id_space)

    @property
    @abstractmethod
    def starts(self) -> Sequence[int]:
        """Give where the blocks begin, ascending."""

    @property
    @abstractmethod
    def ends(self) -> Sequence[int]:
        """Give where the blocks end."""

    @property
    @abstractmethod
    def first_ids(self) -> Sequence[int]:
        """Give the smallest id that each block may hold, ascending."""

    @abstractmethod
    def trades(self, block: int) -> TradeBatch:
        """Give the trades of a block."""

    @abstractmethod
    def close(self, block: int) -> float | None:
        """Give the price of the last trade before a block, None where there is none."""

    def candles(self, block: int, base: Timeframe) -> CandleBatch:
        """Give all candles of a block of the timeframe ``base``, seconds or minutes."""
        span = self.starts[block], self.ends[block]
        return folded(self.instrument, base, self.trades(block), *span, self.close(block))

    def from_time(self, start: int, end: int, limit: int = _ALL) -> TradeBatch:
        """Give the first ``limit`` trades of [start, end)."""
        found: list[TradeBatch] = []
        block = max(0, bisect_right(self.starts, start) - 1)
        while limit > 0 and block < len(self.starts) and self.starts[block] < end:
            trades = self.trades(block)
            first, after = np.searchsorted(trades.ts, (start, max(start, end))).tolist()
            found.append(trades.take(slice(first, min(after, first + limit))))
            limit -= len(found[-1])
            block += 1
        return self._joined(found)

    def from_id(self, first_id: int, limit: int, before: int) -> TradeBatch:
        """Give the ``limit`` smallest ids from ``first_id`` on of trades before ``before``, ascending by id."""
        found: list[TradeBatch] = []
        block = max(0, bisect_right(self.first_ids, first_id) - 1)
        while limit > 0 and block < len(self.starts) and self.starts[block] < before:
            trades = self.trades(block)
            first, after = int(np.searchsorted(trades.ids, first_id)), int(np.searchsorted(trades.ts, before))
            found.append(trades.take(slice(first, max(first, min(after, first + limit)))))
            limit -= len(found[-1])
            block += 1
        return self._joined(found)

    def last(self, before: int, limit: int) -> TradeBatch:
        """Give the newest ``limit`` trades before ``before``."""
        found: list[TradeBatch] = []
        block = bisect_left(self.starts, before) - 1
        while limit > 0 and block >= 0:
            trades = self.trades(block)
            after = int(np.searchsorted(trades.ts, before))
            found.insert(0, trades.take(slice(max(0, after - limit), after)))
            limit -= len(found[0])
            block -= 1
        return self._joined(found)

    def klines(self, wanted: Timeframe, start: int, end: int) -> CandleBatch:
        """Give the candles that begin in [start, end), folded from the trades before ``end`` alone."""
        base, first = base_of(wanted), first_start(wanted, start)
        edge = base.floor(end)
        rows = [none(self.instrument, base.name)]
        block = max(0, bisect_right(self.starts, first) - 1)
        while block < len(self.starts) and self.starts[block] < edge:
            rows.append(_cut(self.candles(block, base), first, edge))
            block += 1
        if max(first, edge) < end:
            rows.append(self._open(base, edge, end))
        return joined(CandleBatch.concat(rows), wanted)

    def _open(self, base: Timeframe, edge: int, end: int) -> CandleBatch:
        """Give the base candle that began at ``edge``, as it is at ``end``."""
        block = bisect_right(self.starts, edge) - 1
        if block < 0 or edge >= self.ends[block]:
            return none(self.instrument, base.name)
        close = self.close(block)
        if edge > self.starts[block]:
            earlier = _cut(self.candles(block, base), 0, edge)
            close = float(earlier.close[-1]) if len(earlier) else close
        return folded(self.instrument, base, self.from_time(edge, end), edge, base.end(edge), close)

    def _joined(self, found: Sequence[TradeBatch]) -> TradeBatch:
        some = [batch for batch in found if len(batch)]
        return TradeBatch.concat(some) if some else self.nothing


def empty(instrument: str, id_space: str) -> TradeBatch:
    """Give no trades of an instrument."""
    whole, real = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64)
    side, fills = np.empty(0, dtype=np.int8), np.empty(0, dtype=np.int32)
    return TradeBatch(instrument, id_space, whole, whole, whole, real, real, side, fills, whole)


def _cut(candles: CandleBatch, start: int, end: int) -> CandleBatch:
    first, after = np.searchsorted(candles.start, (start, max(start, end))).tolist()
    return candles.take(slice(first, after))
