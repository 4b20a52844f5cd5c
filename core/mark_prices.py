"""What derivatives are marked at, in columns."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.by_instrument import ByInstrument

_TIME = pa.timestamp("us", "UTC")
_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("instrument", pa.string(), nullable=False),
    pa.field("ts", _TIME, nullable=False),
    pa.field("received", _TIME, nullable=False),
    pa.field("mark", pa.float64()),
    pa.field("index", pa.float64()),
    pa.field("funding_rate", pa.float64()),
    pa.field("next_funding", _TIME),
]
MARK_PRICES_SCHEMA = pa.schema(_FIELDS)

UNTOLD = -1
"""Stands in `MarkPriceBatch.next_funding` where the venue has not told it."""


@dataclass(frozen=True, slots=True, eq=False)
class MarkPriceBatch(ByInstrument):
    """Hold mark prices of many instruments, in the order of arrival.

    ``mark`` and ``index`` float64 in the quote asset; ``funding_rate`` float64, the share of a position's value that
    longs pay to shorts at ``next_funding`` (int64, µs since the epoch, UTC). What the venue has not told is NaN, or
    `UNTOLD`.
    """

    mark: NDArray[np.float64]
    index: NDArray[np.float64]
    funding_rate: NDArray[np.float64]
    next_funding: NDArray[np.int64]

    COLUMNS: ClassVar[tuple[str, ...]] = (*ByInstrument.COLUMNS, "mark", "index", "funding_rate", "next_funding")

    def to_arrow(self) -> pa.RecordBatch:
        """Give the rows under `MARK_PRICES_SCHEMA`; what was not told is null."""
        prices = [pa.array(column, from_pandas=True) for column in (self.mark, self.index, self.funding_rate)]
        due = pa.array(self.next_funding, mask=self.next_funding == UNTOLD).view(_TIME)
        return pa.RecordBatch.from_arrays([*self._head(), *prices, due], schema=MARK_PRICES_SCHEMA)
