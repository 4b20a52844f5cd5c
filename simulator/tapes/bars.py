"""Bars: candles from outside, whose trades nobody has."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.timeframes import TIMEFRAMES, Timeframe
from simulator.tapes.candles import floors


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Hold bars of one instrument and timeframe in order of start; each covers [start, start + timeframe).

    ``start`` int64, µs since the epoch, UTC; open, high, low, close and volume float64, each the nearest double of
    a decimal. A bar without volume is one without trades: it must be flat. Bars may be absent. Raises `UserError`
    where they contradict themselves.

    Example:
        >>> columns = ([7.0], [9.0], [6.0], [8.0], [1.5])
        >>> len(Bars(TIMEFRAMES["1m"], np.array([0]), *map(np.array, columns)))
        1
    """

    timeframe: Timeframe
    start: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.timeframe.micros:
            raise UserError("bars of a month cannot be played: take shorter ones")
        if len(self.start) == 0:
            raise UserError("there are no bars to play")
        self._refuse(np.append(False, np.diff(self.start) <= 0), "does not follow the one before it in time")
        self._refuse(floors(self.timeframe, self.start) != self.start, f"does not begin a whole {self.timeframe}")
        numbers = np.stack((self.open, self.high, self.low, self.close, self.volume))
        self._refuse(~np.isfinite(numbers).all(axis=0), "lacks a number")
        self._refuse(
            (numbers[:4] <= 0).any(axis=0) | (self.volume < 0),
            "has a price that is not above 0, or less volume than none",
        )
        top, bottom = np.maximum(self.open, self.close), np.minimum(self.open, self.close)
        self._refuse((self.high < top) | (self.low > bottom), "has an open or close outside its low and high")
        self._refuse((self.volume == 0) & (self.high > self.low), "has moves but no volume")

    def __len__(self) -> int:
        return len(self.start)

    @property
    def end(self) -> int:
        """Give the end of the last bar (µs)."""
        return self.timeframe.end(int(self.start[-1]))

    def _refuse(self, wrong: Any, why: str) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise UserError(
                f"the bar at {np.datetime64(int(self.start[rows[0]]), 'us')} UTC {why}: mend or remove it"
            )


def timeframe_of(start: NDArray[np.int64]) -> Timeframe:
    """Tell the timeframe of bars from their starts (ascending): the smallest step between two; raise `UserError`."""
    step = int(np.diff(start).min(initial=2**62))
    for known in TIMEFRAMES.values():
        if known.micros == step:
            return known
    raise UserError("the bars' times do not tell their timeframe: name it")
