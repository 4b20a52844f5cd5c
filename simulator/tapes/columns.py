"""A tape in memory: the trades of each instrument in sorted columns, looked up by binary search."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core import timeframes
from core.candles import CandleBatch
from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.timeframes import Timeframe
from core.trades import TradeBatch
from simulator.tapes.candles import base_of, first_start, folded, joined, none

MOST = 10_000_000
"""Trades that a tape in memory may hold: about 1 GB while it is sorted, half of it after that."""


@dataclass(slots=True)
class _Reel:
    """One instrument's trades in order of (event time, id); ``by_id`` are the rows by id, None if in order too."""

    trades: TradeBatch
    by_id: NDArray[np.intp] | None
    candles: dict[str, CandleBatch] = field(default_factory=dict)


class ColumnsTape:
    """Hold trades in memory as a `simulator.tapes.tape.Tape`; ``end`` is µs after the last trade.

    ``trades`` are batches of the instruments in any order, one id space an instrument; a trade that comes twice
    (same id) counts once, as it came first. Raises `UserError` where there are none, more than `MOST`, or some of
    an instrument that is not named or has no native symbol, tick and lot.
    """

    def __init__(self, instruments: Sequence[Instrument], trades: Sequence[TradeBatch]) -> None:
        _refuse(instruments, trades)
        parts: dict[str, list[TradeBatch]] = {}
        for batch in trades:
            if len(batch):
                parts.setdefault(batch.instrument, []).append(batch)
        self.instruments = tuple(instruments)
        self._reels = {one.native: _reel(parts[one.name]) for one in instruments if one.name in parts}
        self._empty = {one.native: _nothing(one, trades) for one in instruments if one.name not in parts}
        self.start = min(int(reel.trades.ts[0]) for reel in self._reels.values())
        self.end: int | None = 1 + max(int(reel.trades.ts[-1]) for reel in self._reels.values())

    def between(self, start: int, end: int) -> list[TradeBatch]:
        """Give the trades of [start, end): see `Tape`."""
        found = (self.from_time(one.native, start, end, MOST) for one in self.instruments)
        return [batch for batch in found if len(batch)]

    def from_id(self, native: str, first_id: int, limit: int, before: int) -> TradeBatch:
        """Give trades by id: see `Tape`."""
        reel = self._reel(native)
        trades = reel.trades
        if reel.by_id is None:
            first = int(np.searchsorted(trades.ids, first_id))
            return trades.take(slice(first, min(first + limit, int(np.searchsorted(trades.ts, before)))))
        rows = reel.by_id[int(np.searchsorted(trades.ids, first_id, sorter=reel.by_id)) :]
        return trades.take(rows[trades.ts[rows] < before][:limit])

    def last(self, native: str, before: int, limit: int) -> TradeBatch:
        """Give the newest trades: see `Tape`."""
        trades = self._reel(native).trades
        end = int(np.searchsorted(trades.ts, before))
        return trades.take(slice(max(0, end - limit), end))

    def from_time(self, native: str, start: int, end: int, limit: int) -> TradeBatch:
        """Give trades by time: see `Tape`."""
        trades = self._reel(native).trades
        first, after = np.searchsorted(trades.ts, (start, max(start, end))).tolist()
        return trades.take(slice(first, min(first + limit, after)))

    def klines(self, native: str, timeframe: str, start: int, end: int) -> CandleBatch:
        """Give candles: see `Tape`."""
        reel = self._reel(native)
        wanted = timeframes.timeframe(timeframe)
        end = end if self.end is None else min(end, self.end)
        if len(reel.trades) == 0 or end <= start:
            return none(reel.trades.instrument, timeframe)
        base = base_of(wanted)
        closed = self._closed(reel, base)
        first, after = np.searchsorted(closed.start, (first_start(wanted, start), base.floor(end))).tolist()
        rows = closed.take(slice(min(first, after), after))
        if base.floor(end) < end and first_start(wanted, start) < end:
            close = float(closed.close[after - 1]) if after else None
            rows = CandleBatch.concat([rows, self._open(reel, base, end, close)])
        return joined(rows, wanted)

    def _closed(self, reel: _Reel, base: Timeframe) -> CandleBatch:
        if base.name not in reel.candles:
            trades = reel.trades
            begin, end = base.floor(int(trades.ts[0])), base.end(base.floor((self.end or 0) - 1))
            reel.candles[base.name] = folded(trades.instrument, base, trades, begin, end, None)
        return reel.candles[base.name]

    def _open(self, reel: _Reel, base: Timeframe, end: int, close: float | None) -> CandleBatch:
        """Give the candle that is open at ``end``, as it is then."""
        start = base.floor(end)
        first, after = np.searchsorted(reel.trades.ts, (start, end)).tolist()
        trades = reel.trades.take(slice(first, after))
        return folded(trades.instrument, base, trades, start, base.end(start), close)

    def _reel(self, native: str) -> _Reel:
        try:
            return self._reels.get(native) or _Reel(self._empty[native], None)
        except KeyError:
            raise UnknownName("symbol", native, [one.native for one in self.instruments]) from None


def _reel(parts: Sequence[TradeBatch]) -> _Reel:
    trades = TradeBatch.concat(parts)
    _, first = np.unique(trades.ids, return_index=True)
    trades = trades.take(first)
    trades = trades.take(np.lexsort((trades.ids, trades.ts)))
    ascending = bool((np.diff(trades.ids) > 0).all())
    return _Reel(trades, None if ascending else np.argsort(trades.ids))


def _nothing(instrument: Instrument, trades: Sequence[TradeBatch]) -> TradeBatch:
    empty = trades[0].take(slice(0, 0))
    return TradeBatch(instrument.name, empty.id_space, *empty.columns())


def _refuse(instruments: Sequence[Instrument], trades: Sequence[TradeBatch]) -> None:
    bare = [one.name for one in instruments if not one.native or not one.tick or not one.lot]
    if bare:
        raise UserError(f"a tape needs the native symbol, tick and lot of {bare[0]}")
    names = {one.name for one in instruments}
    other = sorted({batch.instrument for batch in trades} - names)
    if other:
        raise UserError(f"there are trades of {other[0]}, which is none of the tape's instruments")
    count = sum(map(len, trades))
    if count == 0:
        raise UserError("there are no trades to play: name files that hold some")
    if count > MOST:
        raise UserError(f"{count:,} trades do not fit into memory: name files of at most {MOST:,} together")
    spaces = {(batch.instrument, batch.id_space) for batch in trades}
    if len(spaces) > len({name for name, _ in spaces}):
        raise UserError("trades and aggregate trades of one instrument are mixed: play one kind at a time")
