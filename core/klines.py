"""The venue's own candles once they are closed, in rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.candles import SUM_TYPE

_TIME = pa.timestamp("us", "UTC")
_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("instrument", pa.string(), nullable=False),
    pa.field("timeframe", pa.string(), nullable=False),
    pa.field("start", _TIME, nullable=False),
    pa.field("received", _TIME, nullable=False),
    pa.field("open", pa.float64(), nullable=False),
    pa.field("high", pa.float64(), nullable=False),
    pa.field("low", pa.float64(), nullable=False),
    pa.field("close", pa.float64(), nullable=False),
    pa.field("volume", SUM_TYPE, nullable=False),
    pa.field("quote_volume", SUM_TYPE),
    pa.field("trade_count", pa.int64()),
    pa.field("taker_buy_volume", SUM_TYPE),
]
VENUE_CANDLES_SCHEMA = pa.schema(_FIELDS)


class ClosedKline(NamedTuple):
    """Hold a candle of the venue that will not change; what the venue does not tell is None.

    ``start`` and ``received`` are µs since the epoch, UTC; ``received`` is when its last version came. Sums are the
    venue's, exact.
    """

    instrument: str
    timeframe: str
    start: int
    received: int
    open: float
    high: float
    low: float
    close: float
    volume: Decimal
    quote_volume: Decimal | None
    trade_count: int | None
    taker_buy_volume: Decimal | None


@dataclass(frozen=True, slots=True, eq=False)
class KlineBatch:
    """Hold closed candles of the venue; ``offset`` int64, the journal offset of the record that closed each."""

    rows: tuple[ClosedKline, ...]
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.int64]) -> "KlineBatch":
        """Give the rows that indices name."""
        return KlineBatch(tuple(self.rows[at] for at in rows.tolist()), self.offset[rows])

    @classmethod
    def concat(cls, batches: Sequence["KlineBatch"]) -> "KlineBatch":
        """Join batches in the order given."""
        rows = tuple(row for batch in batches for row in batch.rows)
        return cls(rows, np.concatenate([batch.offset for batch in batches]))

    def to_arrow(self) -> pa.RecordBatch:
        """Give the rows under `VENUE_CANDLES_SCHEMA`."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(_FIELDS)
        arrays = [
            pa.array(column, pa.int64()).view(_TIME) if field.type == _TIME else pa.array(column, field.type)
            for column, field in zip(columns, _FIELDS, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=VENUE_CANDLES_SCHEMA)
