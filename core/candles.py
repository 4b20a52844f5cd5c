"""Candles: what trades look like from [start, start + timeframe)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.plain import Plain

SUM_SCALE = 18
"""Decimals of every stored sum: ``DECIMAL(38, 18)`` holds price × size of every venue without rounding."""

SUM_TYPE = pa.decimal128(38, SUM_SCALE)

EXACT = Context(prec=60)
"""Decimal arithmetic wide enough for sums of ``DECIMAL(38, 18)`` (Python's default would round at 28 digits)."""

_FIELDS: "list[pa.Field[Any]]" = [
    pa.field("instrument", pa.string(), nullable=False),
    pa.field("timeframe", pa.string(), nullable=False),
    pa.field("start", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("open", pa.float64(), nullable=False),
    pa.field("high", pa.float64(), nullable=False),
    pa.field("low", pa.float64(), nullable=False),
    pa.field("close", pa.float64(), nullable=False),
    pa.field("volume", SUM_TYPE, nullable=False),
    pa.field("quote_volume", SUM_TYPE, nullable=False),
    pa.field("trade_count", pa.int64(), nullable=False),
    pa.field("taker_buy_volume", SUM_TYPE, nullable=False),
    pa.field("complete", pa.bool_(), nullable=False),
    pa.field("revision", pa.int32(), nullable=False),
]
CANDLES_SCHEMA = pa.schema(_FIELDS)


@dataclass(frozen=True, slots=True)
class Candle(Plain):
    """Hold one candle.

    ``start`` is µs since the epoch, UTC. ``volume`` and ``taker_buy_volume`` count native size,
    ``quote_volume`` price × size; the sums are exact. ``trade_count`` counts venue trades (the ``fills`` of
    the rows). ``complete`` means proven: the trade ids cover both edges of the interval with no hole.
    A candle without trades is flat at the previous close. ``spread`` is best ask less best bid as last recorded
    when the candle closed; None where quotes are not recorded, a side is empty, or it was read from the lake.
    """

    instrument: str
    timeframe: str
    start: int
    open: float
    high: float
    low: float
    close: float
    volume: Decimal
    quote_volume: Decimal
    trade_count: int
    taker_buy_volume: Decimal
    complete: bool
    revision: int = 0
    spread: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CandleBatch:
    """Hold candles of one instrument and timeframe in columns, in order of start.

    ``start`` int64 (µs, UTC); prices float64; ``volume``, ``quote_volume`` and ``taker_buy_volume`` uint64[n, 2],
    the low and high words of a two's complement 128-bit integer at scale `SUM_SCALE`; ``trade_count`` int64;
    ``complete`` bool; ``offset`` int64, the journal offset of the record that closed the candle.
    All are of one ``revision``.
    """

    instrument: str
    timeframe: str
    start: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.uint64]
    quote_volume: NDArray[np.uint64]
    trade_count: NDArray[np.int64]
    taker_buy_volume: NDArray[np.uint64]
    complete: NDArray[np.bool_]
    offset: NDArray[np.int64]
    revision: int = 0

    def __len__(self) -> int:
        return len(self.start)

    def take(self, rows: NDArray[Any] | slice) -> "CandleBatch":
        """Give the rows that a slice, a mask or indices name."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _COLUMNS})

    @classmethod
    def concat(cls, batches: Sequence["CandleBatch"]) -> "CandleBatch":
        """Join batches of one instrument, timeframe and revision in the order given."""
        first = batches[0]
        columns: dict[str, Any] = {name: np.concatenate([getattr(b, name) for b in batches]) for name in _COLUMNS}
        return replace(first, **columns)

    def to_arrow(self) -> pa.RecordBatch:
        """Give the rows under `CANDLES_SCHEMA`."""
        n = len(self)
        return pa.RecordBatch.from_arrays(
            [
                pa.repeat(self.instrument, n),
                pa.repeat(self.timeframe, n),
                pa.array(self.start).view(pa.timestamp("us", "UTC")),
                pa.array(self.open),
                pa.array(self.high),
                pa.array(self.low),
                pa.array(self.close),
                _decimals(self.volume),
                _decimals(self.quote_volume),
                pa.array(self.trade_count),
                _decimals(self.taker_buy_volume),
                pa.array(self.complete),
                pa.repeat(pa.scalar(self.revision, pa.int32()), n),
            ],
            schema=CANDLES_SCHEMA,
        )

    def candles(self) -> list[Candle]:
        """Give the rows as objects."""
        # Not by way of Arrow: the dataflow asks for a few candles at a time, and building a batch costs more.
        n = len(self)
        columns: tuple[list[Any], ...] = (
            [self.instrument] * n,
            [self.timeframe] * n,
            self.start.tolist(),
            self.open.tolist(),
            self.high.tolist(),
            self.low.tolist(),
            self.close.tolist(),
            _sums(self.volume),
            _sums(self.quote_volume),
            self.trade_count.tolist(),
            _sums(self.taker_buy_volume),
            self.complete.tolist(),
            [self.revision] * n,
        )
        return [Candle(*row) for row in zip(*columns, strict=True)]


_COLUMNS = (
    "start",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "complete",
    "offset",
)


def candles_from_arrow(rows: pa.RecordBatch | pa.Table) -> list[Candle]:
    """Read candles under `CANDLES_SCHEMA` as objects."""
    return [Candle(**row) for row in _rows(rows)]


def _rows(rows: pa.RecordBatch | pa.Table) -> list[dict[str, Any]]:
    columns = {name: rows.column(name) for name in CANDLES_SCHEMA.names}
    columns["start"] = columns["start"].cast(pa.int64())
    return [
        dict(zip(columns, row, strict=True)) for row in zip(*(c.to_pylist() for c in columns.values()), strict=True)
    ]


def _sums(words: NDArray[np.uint64]) -> list[Decimal]:
    return [Decimal(low | _signed(high) << 64).scaleb(-SUM_SCALE, EXACT) for low, high in words.tolist()]


def _signed(word: int) -> int:
    return word - (word >> 63 << 64)


def _decimals(words: NDArray[np.uint64]) -> "pa.Array[Any]":
    return pa.Array.from_buffers(SUM_TYPE, len(words), [None, pa.py_buffer(np.ascontiguousarray(words).data)])
