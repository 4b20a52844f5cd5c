"""The rows of an epoch that has ended, in columns over all instruments: cheap to keep, to pickle and to write.

A live epoch of hundreds of instruments is thousands of batches of a few rows, and until it is committed it is part of
every snapshot. As columns it is pickled in a few large pieces, and what Arrow needs to write it is made once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.candles import CandleBatch
from core.klines import KlineBatch
from core.mark_prices import MarkPriceBatch
from core.quotes import QuoteBatch
from core.trades import TradeBatch
from dataflows.venue_rows import VenueBatch

_TABLES = {QuoteBatch: "quotes", MarkPriceBatch: "mark_prices", KlineBatch: "venue_candles"}


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Hold rows of one table: ``rows`` under its schema, ``offset`` int64[n] of the records that brought them."""

    rows: pa.RecordBatch
    offset: NDArray[np.int64]

    def behind(self, after: int) -> "Columns":
        """Give what lies behind an offset."""
        wanted = self.offset > after
        return self if wanted.all() else Columns(self.rows.filter(pa.array(wanted)), self.offset[wanted])


@dataclass(frozen=True, slots=True)
class EpochRows:
    """Hold what records of one feed, up to the offset ``reached`` (-1: not known), led to, by table."""

    feed: str
    reached: int
    tables: Mapping[str, Columns]

    @classmethod
    def of(
        cls,
        feed: str,
        reached: int,
        trades: Sequence[TradeBatch],
        candles: Sequence[CandleBatch],
        told: Sequence[VenueBatch],
    ) -> "EpochRows":
        """Gather batches, of which none is empty."""
        tables: dict[str, Columns] = {}
        if trades:
            tables["trades"] = _trades(trades)
        if candles:
            tables["candles"] = _candles(candles)
        by_table: dict[str, list[Any]] = {}
        for batch in told:
            by_table.setdefault(_TABLES[type(batch)], []).append(batch)
        for table, batches in by_table.items():
            whole = type(batches[0]).concat(batches)
            tables[table] = Columns(whole.to_arrow(), whole.offset)
        return cls(feed, reached, tables)

    def __len__(self) -> int:
        return sum(len(columns.offset) for columns in self.tables.values())

    @property
    def last_offset(self) -> int:
        """Give the largest offset that this tells of."""
        return max([self.reached, *(int(columns.offset.max()) for columns in self.tables.values())])

    def behind(self, after: int) -> "EpochRows":
        """Give what lies behind an offset, without empty tables."""
        tables = {name: columns.behind(after) for name, columns in self.tables.items()}
        return EpochRows(self.feed, self.reached, {name: one for name, one in tables.items() if len(one.offset)})


def _trades(batches: Sequence[TradeBatch]) -> Columns:
    whole, sizes = TradeBatch.concat(batches), [len(batch) for batch in batches]
    rows = _texts(whole.to_arrow(), "instrument", [batch.instrument for batch in batches], sizes)
    return Columns(_texts(rows, "id_space", [batch.id_space for batch in batches], sizes), whole.offset)


def _candles(batches: Sequence[CandleBatch]) -> Columns:
    whole, sizes = CandleBatch.concat(batches), [len(batch) for batch in batches]
    rows = _texts(whole.to_arrow(), "instrument", [batch.instrument for batch in batches], sizes)
    rows = _texts(rows, "timeframe", [batch.timeframe for batch in batches], sizes)
    revisions = np.repeat(np.array([batch.revision for batch in batches], dtype=np.int32), sizes)
    return Columns(_with(rows, "revision", pa.array(revisions)), whole.offset)


def _texts(rows: pa.RecordBatch, column: str, texts: Sequence[str], sizes: Sequence[int]) -> pa.RecordBatch:
    """Give each batch's rows its own text: joined batches bear that of the first."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    codes = np.repeat(np.array([places[text] for text in texts], dtype=np.int32), sizes)
    return _with(rows, column, pa.array(list(places), pa.string()).take(codes))


def _with(rows: pa.RecordBatch, column: str, values: "pa.Array[Any]") -> pa.RecordBatch:
    at = rows.schema.get_field_index(column)
    return rows.set_column(at, rows.schema.field(at), values)
