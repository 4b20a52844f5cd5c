"""A tape in memory: the trades of each instrument in sorted columns, looked up by binary search."""

from collections.abc import Sequence

import numpy as np

from core.candles import CandleBatch
from core.errors import UserError
from core.instruments import Instrument
from core.timeframes import MINUTE, Timeframe
from core.trades import TradeBatch
from simulator.tapes.reel import Reel
from simulator.tapes.reels import Reels

MOST = 10_000_000
"""Trades that a tape in memory may hold: about 1 GB while they are sorted, half of it after that."""


class ColumnsTape(Reels):
    """Hold trades in memory as a `simulator.tapes.tape.Tape`; ``end`` is 1 µs after the last trade.

    ``trades`` are batches of the instruments in any order, one id space an instrument; a trade that comes twice
    (same id) counts once, as it came first. Raises `UserError` where there are none, more than `MOST`, or some of
    an instrument that is not named or has no native symbol, tick and lot.
    """

    def __init__(self, instruments: Sequence[Instrument], trades: Sequence[TradeBatch]) -> None:
        _refuse(instruments, trades)
        parts: dict[str, list[TradeBatch]] = {one.name: [] for one in instruments}
        for batch in trades:
            parts[batch.instrument].append(batch)
        sorted_ = {name: _sorted(batches) for name, batches in parts.items() if any(map(len, batches))}
        start = min(int(batch.ts[0]) for batch in sorted_.values())
        end = 1 + max(int(batch.ts[-1]) for batch in sorted_.values())
        space = next(batch.id_space for batch in trades if len(batch))
        reels = {one.native: _Column(one.name, space, sorted_.get(one.name), end) for one in instruments}
        super().__init__(instruments, reels, start, end)


class _Column(Reel):
    """One block that holds everything."""

    def __init__(self, instrument: str, id_space: str, trades: TradeBatch | None, end: int) -> None:
        super().__init__(instrument, id_space if trades is None else trades.id_space)
        self._trades = self.nothing if trades is None else trades
        ids = self._trades.ids
        self._by_id = None if bool((np.diff(ids) > 0).all()) else np.argsort(ids)
        self._starts = [] if trades is None else [int(trades.ts[0]) // MINUTE * MINUTE]
        self._ends = [-(-end // MINUTE) * MINUTE] * len(self._starts)
        self._candles: dict[str, CandleBatch] = {}

    @property
    def starts(self) -> list[int]:
        return self._starts

    @property
    def ends(self) -> list[int]:
        return self._ends

    @property
    def first_ids(self) -> list[int]:
        return [0] * len(self._starts)

    def trades(self, block: int) -> TradeBatch:
        return self._trades

    def close(self, block: int) -> float | None:
        return None

    def candles(self, block: int, base: Timeframe) -> CandleBatch:
        if base.name not in self._candles:
            self._candles[base.name] = super().candles(block, base)
        return self._candles[base.name]

    def from_id(self, first_id: int, limit: int, before: int) -> TradeBatch:
        if self._by_id is None:
            return super().from_id(first_id, limit, before)
        # Some venue's ids do not rise with its times.
        rows = self._by_id[int(np.searchsorted(self._trades.ids, first_id, sorter=self._by_id)) :]
        return self._trades.take(rows[self._trades.ts[rows] < before][:limit])


def _sorted(parts: Sequence[TradeBatch]) -> TradeBatch:
    trades = TradeBatch.concat([part for part in parts if len(part)])
    _, first = np.unique(trades.ids, return_index=True)
    trades = trades.take(first)
    return trades.take(np.argsort(trades.ts, kind="stable"))


def _refuse(instruments: Sequence[Instrument], trades: Sequence[TradeBatch]) -> None:
    other = sorted({batch.instrument for batch in trades} - {one.name for one in instruments})
    if other:
        raise UserError(f"there are trades of {other[0]}, which is none of the tape's instruments")
    count = sum(map(len, trades))
    if count == 0:
        raise UserError("there are no trades to play: name files that hold some")
    if count > MOST:
        raise UserError(f"{count:,} trades do not fit into memory: name files of at most {MOST:,} together")
    spaces = {(batch.instrument, batch.id_space) for batch in trades if len(batch)}
    if len(spaces) > len({name for name, _ in spaces}):
        raise UserError("trades and aggregate trades of one instrument are mixed: play one kind at a time")
