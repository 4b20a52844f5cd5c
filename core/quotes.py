"""Best bid and ask, in columns."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.by_instrument import ByInstrument

_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("instrument", pa.string(), nullable=False),
    pa.field("ts", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("received", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("id", pa.int64(), nullable=False),
    pa.field("bid", pa.float64(), nullable=False),
    pa.field("bid_size", pa.float64(), nullable=False),
    pa.field("ask", pa.float64(), nullable=False),
    pa.field("ask_size", pa.float64(), nullable=False),
]
QUOTES_SCHEMA = pa.schema(_FIELDS)


@dataclass(frozen=True, slots=True)
class BestQuote:
    """Hold the best bid and ask of an instrument at ``ts`` (µs since the epoch, UTC).

    Sizes are the instrument's own; an empty side of the book has price and size 0.
    """

    ts: int
    bid: float
    bid_size: float
    ask: float
    ask_size: float

    @property
    def spread(self) -> float | None:
        """Give ask - bid in the quote asset, below 0 for a crossed book; None where a side is empty."""
        return self.ask - self.bid if self.bid and self.ask else None

    @property
    def mid(self) -> float | None:
        """Give the price half-way between bid and ask; None where a side is empty."""
        return (self.bid + self.ask) / 2 if self.bid and self.ask else None


@dataclass(frozen=True, slots=True, eq=False)
class QuoteBatch(ByInstrument):
    """Hold quotes of many instruments, in the order of arrival.

    ``ids`` int64 orders the updates of one instrument, 0 where the venue has none. ``ts`` is the time of receipt
    where the venue sends none. ``bid``, ``bid_size``, ``ask`` and ``ask_size`` float64, each the nearest double of a
    decimal of at most 15 significant digits; 0 for both of an empty side.
    """

    ids: NDArray[np.int64]
    bid: NDArray[np.float64]
    bid_size: NDArray[np.float64]
    ask: NDArray[np.float64]
    ask_size: NDArray[np.float64]

    COLUMNS: ClassVar[tuple[str, ...]] = (*ByInstrument.COLUMNS, "ids", "bid", "bid_size", "ask", "ask_size")

    def to_arrow(self) -> pa.RecordBatch:
        """Give the rows under `QUOTES_SCHEMA`."""
        numbers = (self.ids, self.bid, self.bid_size, self.ask, self.ask_size)
        return pa.RecordBatch.from_arrays([*self._head(), *map(pa.array, numbers)], schema=QUOTES_SCHEMA)

    def best(self, instrument: str, offset: int) -> BestQuote | None:
        """Give the last quote of an instrument whose offset is at most ``offset``; None where there is none."""
        if instrument not in self.names:
            return None
        rows = np.flatnonzero((self.instrument == self.names.index(instrument)) & (self.offset <= offset))
        if len(rows) == 0:
            return None
        at = rows[-1]
        columns = (self.bid, self.bid_size, self.ask, self.ask_size)
        return BestQuote(int(self.ts[at]), *(float(column[at]) for column in columns))
