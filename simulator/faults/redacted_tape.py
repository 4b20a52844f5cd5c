"""The tape without some trades: websockets did not tell them, and REST never will. Candles know them still."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.candles import CandleBatch
from core.instruments import Instrument
from core.trades import TradeBatch
from simulator.faults.id_spans import IdSpans
from simulator.tapes.tape import Tape


class RedactedTape:
    """Be a tape (`simulator.tapes.tape.Tape`) that lacks trades where they are looked up.

    What happens is `between` two times, and is told as it was: who sends it leaves them out.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.hidden: dict[str, IdSpans] = defaultdict(IdSpans)
        """The ids that are missing, by the native symbol."""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Give the instruments."""
        return self.tape.instruments

    @property
    def start(self) -> int:
        """Give the time at which the tape begins."""
        return self.tape.start

    @property
    def end(self) -> int | None:
        """Give the time at which it ends."""
        return self.tape.end

    def hide(self, native: str, ids: NDArray[np.int64]) -> None:
        """Take trades out for ever; ids ascend from call to call."""
        self.hidden[native].add(ids)

    def between(self, start: int, end: int) -> list[TradeBatch]:
        """Give all trades of [start, end)."""
        return self.tape.between(start, end)

    def from_id(self, native: str, first_id: int, limit: int, before: int) -> TradeBatch:
        """Give the trades from an id on."""
        found = self._left(native, limit, lambda rows: self.tape.from_id(native, first_id, rows, before))
        return found.take(slice(0, limit))

    def last(self, native: str, before: int, limit: int) -> TradeBatch:
        """Give the newest trades."""
        found = self._left(native, limit, lambda rows: self.tape.last(native, before, rows))
        return found.take(slice(max(0, len(found) - limit), None))

    def from_time(self, native: str, start: int, end: int, limit: int) -> TradeBatch:
        """Give the first trades of a time."""
        found = self._left(native, limit, lambda rows: self.tape.from_time(native, start, end, rows))
        return found.take(slice(0, limit))

    def klines(self, native: str, timeframe: str, start: int, end: int) -> CandleBatch:
        """Give the candles of all trades."""
        return self.tape.klines(native, timeframe, start, end)

    def _left(self, native: str, limit: int, look: Callable[[int], TradeBatch]) -> TradeBatch:
        """Look up more rows until ``limit`` are left, or there are no more."""
        rows, hidden = limit, self.hidden.get(native)
        while True:
            found = look(rows)
            left = found if hidden is None else found.take(~hidden.among(found.ids))
            if len(left) >= limit or len(found) < rows:
                return left
            rows *= 2
