"""The market of the soak: as many instruments and trades a second as are asked for, the same in every minute.

A load that is constant is what a slope can be told from, and a simulator that only adds to columns leaves the
machine to what is measured.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.instruments import Instrument
from core.timeframes import MINUTE
from core.trades import TradeBatch
from simulator.tapes.reel import Reel
from simulator.tapes.reels import Reels

START = 1_736_121_600_000_000
"""2025-01-06 00:00 UTC: the tape's own time; clients are shown another."""

_FIRST_ID = 1_000_001
_MINUTES = 7 * 24 * 60
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LEVELS = 4_096
_STEP = 0.0015


def instruments(count: int) -> list[Instrument]:
    """Give instruments with names of three letters, of which none is a quote currency."""
    letters = [a + b + "X" for a in _LETTERS for b in _LETTERS][:count]
    assert len(letters) == count, f"{len(_LETTERS) ** 2} instruments at most"
    step = Decimal("0.01")
    return [Instrument("simulated", one, "USDT", native=f"{one}USDT", tick=step, lot=step) for one in letters]


class RepeatedMarket(Reels):
    """Play one drawn minute again and again; ids go on, and a minute's prices stand where a walk has brought them.

    ``rate`` trades a second are shared evenly; within the minute they come at random.
    """

    def __init__(self, count: int, rate: float, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        each = max(1, round(rate * 60 / count))
        named = instruments(count)
        self._reels_of = [_Repeated(one.name, each, rng) for one in named]
        reels = {one.native: reel for one, reel in zip(named, self._reels_of, strict=True)}
        super().__init__(named, reels, START, None)
        times = np.concatenate([reel.times for reel in self._reels_of])
        self._line = np.argsort(times, kind="stable")
        self._times, self._owners = times[self._line], self._line // each
        self._minute, self._all = -1, self._reels_of[0].nothing

    def between(self, start: int, end: int) -> list[TradeBatch]:
        """Give the trades of [start, end): found once for all, not once an instrument."""
        found: list[TradeBatch] = []
        while start < end:
            minute = (start - START) // MINUTE
            base = START + minute * MINUTE
            stop = min(end, base + MINUTE)
            low, high = np.searchsorted(self._times, (start - base, stop - base)).tolist()
            if low < high:
                found += self._by_owner(minute, low, high)
            start = stop
        return found

    def _by_owner(self, minute: int, low: int, high: int) -> list[TradeBatch]:
        if minute != self._minute:
            self._minute = minute
            self._all = TradeBatch.concat([reel.trades(minute) for reel in self._reels_of]).take(self._line)
        order = np.argsort(self._owners[low:high], kind="stable") + low
        owners, columns = self._owners[order], self._all.take(order).columns()
        edges = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(order)]
        names = [self._reels_of[owner].instrument for owner in owners[edges[:-1]].tolist()]
        return [
            TradeBatch(name, "trade", *(column[begin:after] for column in columns))
            for name, begin, after in zip(names, edges, edges[1:], strict=False)
        ]


class _Repeated(Reel):
    """One instrument of it: a block is a minute."""

    def __init__(self, instrument: str, each: int, rng: np.random.Generator) -> None:
        super().__init__(instrument, "trade")
        self.times = np.sort(rng.integers(0, MINUTE // 1_000, each)) * 1_000
        self._ids = np.arange(each, dtype=np.int64)
        first = int(rng.integers(2_000, 900_000))
        self._ticks = first + np.cumsum(rng.integers(-3, 4, each))
        self._ticks -= self._ticks.min() - first // 2
        self._sizes = (rng.lognormal(0.0, 1.0, each) * 100 + 1).astype(np.int64) / 100
        self._sides = rng.choice(np.array([-1, 1], dtype=np.int8), each)
        walk = np.cumsum(rng.normal(0.0, _STEP, _LEVELS))
        # Comes back to where it began, so that no jump is larger than a step.
        walk -= np.linspace(0.0, walk[-1], _LEVELS)
        self._levels = np.round(np.maximum(walk, -0.4) * self._ticks.min()).astype(np.int64)

    @property
    def starts(self) -> Sequence[int]:
        return range(START, START + _MINUTES * MINUTE, MINUTE)

    @property
    def ends(self) -> Sequence[int]:
        return range(START + MINUTE, START + (_MINUTES + 1) * MINUTE, MINUTE)

    @property
    def first_ids(self) -> Sequence[int]:
        each = len(self._ids)
        return range(_FIRST_ID, _FIRST_ID + _MINUTES * each, each)

    def trades(self, block: int) -> TradeBatch:
        each = len(self._ids)
        ts, ids = self.times + (START + block * MINUTE), self._ids + (_FIRST_ID + block * each)
        fills, offset = np.ones(each, dtype=np.int32), np.full(each, -1)
        price = self._prices(block)
        return TradeBatch(self.instrument, "trade", ids, ts, ts, price, self._sizes, self._sides, fills, offset)

    def close(self, block: int) -> float | None:
        return None if block == 0 else float(self._prices(block - 1)[-1])

    def _prices(self, block: int) -> NDArray[np.float64]:
        prices: NDArray[np.float64] = (self._ticks + self._levels[block % _LEVELS]) / 100
        return prices
