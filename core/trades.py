"""Trades, in columns: the unit that moves through the dataflow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.errors import MalformedFrame

_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("instrument", pa.string(), nullable=False),
    pa.field("id_space", pa.string(), nullable=False),
    pa.field("trade_id", pa.int64(), nullable=False),
    pa.field("ts", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("received", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("price", pa.float64(), nullable=False),
    pa.field("size", pa.float64(), nullable=False),
    pa.field("side", pa.int8(), nullable=False),
    pa.field("fills", pa.int32(), nullable=False),
]
TRADES_SCHEMA = pa.schema(_FIELDS)


@dataclass(frozen=True, slots=True, eq=False)
class TradeBatch:
    """Hold trades of one instrument and one id space in columns of equal length.

    ``ids`` int64, the venue's trade ids, less than 0 where they are made of a text; ``ts`` and ``received`` int64,
    µs since the epoch, UTC: the venue's time and ours; ``price`` and ``size`` float64, each the nearest double of a
    decimal of at most 15 significant digits, so that the venue's decimal survives; ``side`` int8, the taker's: +1
    buy, -1 sell; ``fills`` int32, how many venue trades the row stands for; ``offset`` int64, the journal offset of
    the record that brought it. Rows stand in the order of arrival.
    """

    instrument: str
    id_space: str
    ids: NDArray[np.int64]
    ts: NDArray[np.int64]
    received: NDArray[np.int64]
    price: NDArray[np.float64]
    size: NDArray[np.float64]
    side: NDArray[np.int8]
    fills: NDArray[np.int32]
    offset: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Give the columns, in the order of the fields."""
        return (
            self.ids,
            self.ts,
            self.received,
            self.price,
            self.size,
            self.side,
            self.fills,
            self.offset,
        )

    @property
    def places(self) -> NDArray[np.int64]:
        """Give what orders trades of one moment, int64[n]: the ids where they count.

        An id that is made of a text says nothing. There it is the price, because an order that trades with several
        others takes the best of them first: one that buys pays more and more, one that sells gets less and less.
        """
        if len(self.ids) == 0 or self.ids.min() >= 0:
            return self.ids
        # Doubles of one sign are in the order of their bits.
        walked = self.price.view(np.int64) * self.side
        return np.where(self.ids < 0, walked, self.ids)

    def take(self, rows: NDArray[Any] | slice) -> "TradeBatch":
        """Give the rows that a slice, a mask or indices name."""
        return TradeBatch(self.instrument, self.id_space, *(column[rows] for column in self.columns()))

    def in_event_order(self) -> "TradeBatch":
        """Sort by event time, then by `places`, then by the venue's id, then the order of arrival."""
        return self.take(np.lexsort((self.offset, self.ids, self.places, self.ts)))

    @classmethod
    def concat(cls, batches: Sequence["TradeBatch"]) -> "TradeBatch":
        """Join batches of one instrument and id space in the order given."""
        first = batches[0]
        if len(batches) == 1:
            return first
        joined = (np.concatenate(parts) for parts in zip(*(b.columns() for b in batches), strict=True))
        return cls(first.instrument, first.id_space, *joined)

    def to_arrow(self) -> pa.RecordBatch:
        """Give the rows under `TRADES_SCHEMA`; the numeric columns are not copied."""
        n = len(self)
        return pa.RecordBatch.from_arrays(
            [
                _repeat(self.instrument, n),
                _repeat(self.id_space, n),
                pa.array(self.ids),
                pa.array(self.ts).view(pa.timestamp("us", "UTC")),
                pa.array(self.received).view(pa.timestamp("us", "UTC")),
                pa.array(self.price),
                pa.array(self.size),
                pa.array(self.side),
                pa.array(self.fills),
            ],
            schema=TRADES_SCHEMA,
        )

    @classmethod
    def from_arrow(cls, rows: pa.RecordBatch, offset: int = -1) -> "TradeBatch":
        """Read rows of one instrument and id space under `TRADES_SCHEMA`; ``offset`` goes to every row."""
        if rows.num_rows == 0:
            raise ValueError("a trade batch needs at least one row to know its instrument")
        number = {name: np.asarray(rows.column(name)) for name in ("trade_id", "price", "size", "side", "fills")}
        times = {name: np.asarray(rows.column(name).view(pa.int64())) for name in ("ts", "received")}
        return cls(
            rows.column("instrument")[0].as_py(),
            rows.column("id_space")[0].as_py(),
            number["trade_id"],
            times["ts"],
            times["received"],
            number["price"],
            number["size"],
            number["side"],
            number["fills"],
            np.full(rows.num_rows, offset, dtype=np.int64),
        )

    def to_ipc(self) -> bytes:
        """Write the rows as one Arrow IPC stream, the payload of a `Kind.TRADES` record."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, TRADES_SCHEMA) as writer:
            writer.write_batch(self.to_arrow())
        return sink.getvalue().to_pybytes()

    @classmethod
    def from_ipc(cls, payload: bytes, offset: int = -1) -> "TradeBatch":
        """Read what `to_ipc` wrote; raise `MalformedFrame` where the bytes are anything else."""
        try:
            with pa.ipc.open_stream(payload) as reader:
                if not reader.schema.equals(TRADES_SCHEMA):
                    raise MalformedFrame("a record of trades has other columns than this version writes")
                rows = reader.read_next_batch()
                # Unchecked, damaged offsets of a text column end the process instead of raising.
                rows.validate(full=True)
                if any(column.null_count for column in rows.columns):
                    raise MalformedFrame("a record of trades has missing values")
                return cls.from_arrow(rows, offset)
        except (pa.ArrowException, StopIteration, ValueError, OSError, MemoryError) as error:
            raise MalformedFrame("a record of trades cannot be read as Arrow IPC") from error


def _repeat(text: str, n: int) -> "pa.Array[Any]":
    # Built from its bytes: a tenth of the time of `pa.repeat` or of a cast, and each micro-batch needs two.
    data = text.encode()
    ends = np.arange(n + 1, dtype=np.int32) * np.int32(len(data))
    return pa.StringArray.from_buffers(n, pa.py_buffer(ends.data), pa.py_buffer(data * n))
