"""The tape: all trades of a market, in the market's own time, to be looked up by time and by id."""

from typing import Protocol

from core.candles import CandleBatch
from core.instruments import Instrument
from core.trades import TradeBatch


class Tape(Protocol):
    """Look up the trades of a market; times are µs since the epoch, UTC, in the tape's own time.

    Symbols are the venue's own (``native``); one that is not on the tape raises `UnknownName`. Every batch is in
    order of (event time, id), unless it says otherwise, and is empty where there is nothing. A tape knows the
    future: who plays it asks for no more than has happened.
    """

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Give the instruments, each with native symbol, tick and lot."""
        ...

    @property
    def start(self) -> int:
        """Give the time at which the tape begins: nothing lies before it."""
        ...

    @property
    def end(self) -> int | None:
        """Give the first time after which nothing comes; None where the tape goes on for ever."""
        ...

    def between(self, start: int, end: int) -> list[TradeBatch]:
        """Give the trades of [start, end): one batch an instrument that has some, in the order of instruments."""
        ...

    def from_id(self, native: str, first_id: int, limit: int, before: int) -> TradeBatch:
        """Give the ``limit`` smallest ids from ``first_id`` on of trades before ``before``, ascending by id."""
        ...

    def last(self, native: str, before: int, limit: int) -> TradeBatch:
        """Give the newest ``limit`` trades before ``before``."""
        ...

    def from_time(self, native: str, start: int, end: int, limit: int) -> TradeBatch:
        """Give the first ``limit`` trades of [start, end)."""
        ...

    def klines(self, native: str, timeframe: str, start: int, end: int) -> CandleBatch:
        """Give the candles that begin in [start, end), folded from the trades before ``end`` alone.

        The last one is therefore as far as it had come at ``end``. Intervals without trades are flat at the price
        before, up to the tape's end; before the first trade there are none. ``complete`` is not told.
        Raises `UnknownName` for no timeframe.
        """
        ...
