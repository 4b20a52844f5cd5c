"""Trades and quotes of many frames, in columns, before they are sorted by instrument."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPACES = ("trade", "aggregate", "merged", "execution")
"""What the values of `Columns.space` mean."""


@dataclass(frozen=True, slots=True, eq=False)
class QuoteColumns:
    """Hold q quotes: ``row`` int64, the index of the frame that brought it, ascending; ``symbol`` int32, as below.

    ``ids`` int64, 0 where the venue has none; ``ts`` int64, µs since the epoch, UTC, 0 where the venue sends no time;
    ``bid``, ``bid_size``, ``ask`` and ``ask_size`` float64, the nearest double.
    """

    row: NDArray[np.int64]
    symbol: NDArray[np.int32]
    ids: NDArray[np.int64]
    ts: NDArray[np.int64]
    bid: NDArray[np.float64]
    bid_size: NDArray[np.float64]
    ask: NDArray[np.float64]
    ask_size: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Hold what a venue's fast path read from n frames.

    Of m trades: ``row`` int64, the index of the frame that brought it, ascending; ``symbol`` int32, an index
    into ``symbols`` (the venue's own, each known to `Venue.instrument`); ``space`` int8, an index into `SPACES`;
    ``ids`` int64; ``ts`` int64, µs since the epoch, UTC; ``price`` and ``size`` float64, the nearest double;
    ``side`` int8, the taker's, +1 buy and -1 sell; ``fills`` int32.

    ``rest`` int64[k], ascending, are the frames that were not taken: `Venue.parse` decides about them.
    All other frames are certain to be valid and to hold no trade: those of ``quotes`` (None: there are none) hold a
    quote each, ``ignored`` hold nothing that is recorded.
    """

    row: NDArray[np.int64]
    symbol: NDArray[np.int32]
    symbols: list[str]
    space: NDArray[np.int8]
    ids: NDArray[np.int64]
    ts: NDArray[np.int64]
    price: NDArray[np.float64]
    size: NDArray[np.float64]
    side: NDArray[np.int8]
    fills: NDArray[np.int32]
    rest: NDArray[np.int64]
    quotes: QuoteColumns | None = None
    ignored: int = 0

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def untaken(cls, frames: int) -> "Columns":
        """Leave all frames to `Venue.parse`: right for every venue, and enough until it is too slow."""
        return cls(
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            [],
            np.empty(0, np.int8),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            np.empty(0, np.float64),
            np.empty(0, np.int8),
            np.empty(0, np.int32),
            np.arange(frames, dtype=np.int64),
        )
