"""The tape of candles: trades that nobody saw, invented so that they fold to the very bars."""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.candle_kernel import SCALE
from core.errors import UserError
from core.instruments import Instrument
from core.timeframes import DAY, MINUTE
from core.trades import TradeBatch
from simulator.orders import decimals
from simulator.tapes.bar_trades import Steps, draw
from simulator.tapes.bars import Bars
from simulator.tapes.grid import Grid, finest, step_of
from simulator.tapes.reel import Reel
from simulator.tapes.reels import Reels

TRADES = 20
"""Trades a bar, where the bar does not need more and its volume is not too small."""

_BARS = 240


class CandleTape(Reels):
    """Play bars as a `simulator.tapes.tape.Tape`: each bar's trades fold to its open, high, low, close and volume.

    Prices walk by a Brownian bridge, on tick; sizes are whole lots. An instrument's tick and lot, where it has
    none, are the finest steps of its bars (the lot finer still where a volume is too small for the trades that its
    bar needs). Trades are drawn when they are asked for, some hundred bars at a time, and are fixed by ``seed`` and
    the bars; ids begin at ``first_id`` and are contiguous. Raises `UserError` where the bars are not on the
    instrument's steps.
    """

    def __init__(
        self, bars: Mapping[Instrument, Bars], seed: int = 1, trades_per_bar: int = TRADES, first_id: int = 1
    ) -> None:
        if not bars:
            raise UserError("there are no bars to play")
        if trades_per_bar < 1 or first_id < 0 or seed < 0:
            raise UserError("a bar has at least one trade; neither the first id nor the seed is negative")
        reels = {}
        instruments = []
        start, end = min(int(one.start[0]) for one in bars.values()), max(one.end for one in bars.values())
        for bare, one in bars.items():
            instrument, steps = _stepped(bare, one)
            instruments.append(instrument)
            counts = np.minimum(np.maximum(steps.needed(), np.minimum(trades_per_bar, steps.volume)), steps.volume)
            reels[instrument.native] = _BarReel(instrument, one, steps, counts, seed, first_id, end)
        super().__init__(instruments, reels, start, end)


class _BarReel(Reel):
    def __init__(
        self,
        instrument: Instrument,
        bars: Bars,
        steps: Steps,
        counts: NDArray[np.int64],
        seed: int,
        first_id: int,
        end: int,
    ) -> None:
        super().__init__(instrument.name, "trade")
        self._tick, self._lot = instrument.tick or Decimal(1), instrument.lot or Decimal(1)
        self._length = bars.timeframe.micros
        self._steps, self._counts = steps, counts
        self._key = seed, zlib.crc32(instrument.name.encode())
        # A block is some hundred bars, but no more than a day, so that its minutes are not too many.
        shift, block = bars.timeframe.shift, max(self._length, min(_BARS * self._length, DAY))
        begins = (bars.start - shift) // block * block + shift
        self._rows = np.append(np.flatnonzero(np.diff(begins, prepend=begins[0] - 1)), len(begins))
        self._starts: list[int] = begins[self._rows[:-1]].tolist()
        self._ends = [*self._starts[1:], -(-end // MINUTE) * MINUTE]
        ids = first_id + np.append(0, np.cumsum(counts))
        self._ids = ids
        self._first_ids: list[int] = ids[self._rows[:-1]].tolist()
        traded = np.flatnonzero(counts)
        upto = np.searchsorted(traded, self._rows[:-1])
        self._closes = [float(bars.close[traded[n - 1]]) if n else None for n in upto.tolist()]
        self._drawn = lru_cache(64)(self._draw)

    @property
    def starts(self) -> list[int]:
        return self._starts

    @property
    def ends(self) -> list[int]:
        return self._ends

    @property
    def first_ids(self) -> list[int]:
        return self._first_ids

    def trades(self, block: int) -> TradeBatch:
        return self._drawn(block)

    def close(self, block: int) -> float | None:
        return self._closes[block]

    def _draw(self, block: int) -> TradeBatch:
        rows = slice(int(self._rows[block]), int(self._rows[block + 1]))
        seed, name = self._key
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(name, block))))
        found = draw(rng, self._steps.take(rows), self._counts[rows], self._length)
        n = len(found.ts)
        return TradeBatch(
            self.instrument,
            "trade",
            int(self._ids[rows.start]) + np.arange(n, dtype=np.int64),
            found.ts,
            found.ts,
            decimals(found.price, self._tick),
            decimals(found.size, self._lot),
            found.side,
            np.ones(n, dtype=np.int32),
            np.full(n, -1, dtype=np.int64),
        )


def _stepped(instrument: Instrument, bars: Bars) -> tuple[Instrument, Steps]:
    """Count the bars in steps of the instrument, which gets those that it lacks."""
    places = max(finest(column) for column in (bars.open, bars.high, bars.low, bars.close))
    tick = instrument.tick or step_of(places)
    prices = Grid(tick, "price")
    open_, high, low, close = (prices.steps(column) for column in (bars.open, bars.high, bars.low, bars.close))
    lots = finest(bars.volume)
    while True:
        lot = instrument.lot or step_of(lots)
        steps = Steps(bars.start, open_, high, low, close, Grid(lot, "volume").steps(bars.volume))
        short = np.flatnonzero(steps.needed() > steps.volume)
        if len(short) == 0:
            break
        if instrument.lot or places + lots >= SCALE:
            when = np.datetime64(int(bars.start[short[0]]), "us")
            raise UserError(
                f"the bar at {when} UTC has too little volume for its moves: name a finer lot than {lot:f}"
            )
        lots += 1
    native = instrument.native or f"{instrument.base}{instrument.quote}"
    return replace(instrument, native=native, tick=tick, lot=lot), steps
