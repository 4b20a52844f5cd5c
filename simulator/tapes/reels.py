"""Reels together: a tape of several instruments, each with a reel of its own."""

from collections.abc import Mapping, Sequence

from core import timeframes
from core.candles import CandleBatch
from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.trades import TradeBatch
from simulator.tapes.reel import Reel


class Reels:
    """Play the reels of several instruments as one `simulator.tapes.tape.Tape`.

    ``reels`` maps the native symbol of each instrument to its reel. ``end`` is None for a tape that goes on for
    ever: it overrides `reach`. Raises `UserError` where an instrument has no native symbol, tick and lot.
    """

    def __init__(
        self, instruments: Sequence[Instrument], reels: Mapping[str, Reel], start: int, end: int | None
    ) -> None:
        bare = [one.name for one in instruments if not one.native or not one.tick or not one.lot]
        if bare:
            raise UserError(f"a tape needs the native symbol, tick and lot of {bare[0]}")
        self.instruments = tuple(instruments)
        self.start = start
        self.end = end
        self._reels = reels

    def reach(self, end: int) -> None:
        """Have everything before ``end`` (µs) at hand."""

    def between(self, start: int, end: int) -> list[TradeBatch]:
        """Give the trades of [start, end): see `Tape`."""
        self.reach(end)
        found = (self._reels[one.native].from_time(start, end) for one in self.instruments)
        return [batch for batch in found if len(batch)]

    def from_id(self, native: str, first_id: int, limit: int, before: int) -> TradeBatch:
        """Give trades by id: see `Tape`."""
        self.reach(self._inside(before))
        return self._reel(native).from_id(first_id, limit, before)

    def last(self, native: str, before: int, limit: int) -> TradeBatch:
        """Give the newest trades: see `Tape`."""
        self.reach(self._inside(before))
        return self._reel(native).last(before, limit)

    def from_time(self, native: str, start: int, end: int, limit: int) -> TradeBatch:
        """Give trades by time: see `Tape`."""
        self.reach(self._inside(end))
        return self._reel(native).from_time(start, end, limit)

    def klines(self, native: str, timeframe: str, start: int, end: int) -> CandleBatch:
        """Give candles: see `Tape`."""
        wanted = timeframes.timeframe(timeframe)
        end = self._inside(end)
        self.reach(end)
        return self._reel(native).klines(wanted, start, end)

    def _inside(self, end: int) -> int:
        return end if self.end is None else min(end, self.end)

    def _reel(self, native: str) -> Reel:
        try:
            return self._reels[native]
        except KeyError:
            raise UnknownName("symbol", native, self._reels) from None
