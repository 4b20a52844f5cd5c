"""Results of queries, written as a table, CSV, JSON or Parquet while they stream."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill.tables import columns_of, count, decimal_text, table, text

Format = Literal["table", "csv", "json", "parquet"]
ROW_CAP = 500
"""How many rows a table shows; the other formats write all."""

_QUOTED = frozenset(',"\r\n')
_JSON = msgspec.json.Encoder(decimal_format="number", order=None)


def write_table(reader: pa.RecordBatchReader, out: TextIO, cap: int = ROW_CAP) -> None:
    """Draw at most ``cap`` rows and say how many there were."""
    shown: list[tuple[Any, ...]] = []
    total = 0
    for batch in reader:
        total += batch.num_rows
        if len(shown) < cap:
            shown += list(_rows(batch.slice(0, cap - len(shown))))
    out.write(table(reader.schema.names, shown, columns_of(out)) + "\n")
    rows = "1 row" if total == 1 else f"{count(total)} rows"
    out.write(f"({rows}; the first {cap} are shown: add LIMIT or --format csv)\n" if total > cap else f"({rows})\n")


def write_csv(reader: pa.RecordBatchReader, out: TextIO) -> None:
    """Write a header and every row; decimals exactly, times as ISO 8601 in UTC, a missing value as nothing."""
    out.write(",".join(map(_cell, reader.schema.names)) + "\n")
    for batch in reader:
        out.writelines(",".join(map(_cell, row)) + "\n" for row in _rows(batch))


def write_json(reader: pa.RecordBatchReader, out: TextIO) -> None:
    """Write an array of one object a row; decimals as exact numbers, times as ISO 8601 in UTC."""
    names = reader.schema.names
    before = "["
    for batch in reader:
        for row in _rows(batch):
            out.write(before + "\n" + _JSON.encode(dict(zip(names, map(_plain, row), strict=True))).decode())
            before = ","
    out.write("[]\n" if before == "[" else "\n]\n")


def write_parquet(reader: pa.RecordBatchReader, to: Path | BinaryIO) -> None:
    """Write every row as Parquet (zstd); a file appears only when it is whole."""
    if not isinstance(to, Path):
        _write_batches(reader, to)
        return
    part = to.with_name(to.name + ".part")
    try:
        _write_batches(reader, part)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)


def _write_batches(reader: pa.RecordBatchReader, to: Path | BinaryIO) -> None:
    with pq.ParquetWriter(to, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*map(_values, batch.columns), strict=True)


def _values(column: "pa.Array[Any]") -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):
        # DuckDB's infinite and far timestamps lie outside of Python's years 1 to 9999.
        return [value if value is None else f"{value} µs" for value in column.cast(pa.int64()).to_pylist()]
    return values


def _cell(value: Any) -> str:
    # The csv module leaves a lone carriage return unquoted, and cannot tell an empty text from a missing one.
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, float):
        return repr(value)
    written = value if isinstance(value, str) else text(value)
    return f'"{written.replace(chr(34), chr(34) * 2)}"' if not written or _QUOTED & set(written) else written


def _plain(value: Any) -> Any:
    # msgspec writes what is left (int, float, bool, str, bytes as base64, datetime, list, dict, None) by itself.
    if isinstance(value, Decimal):
        return Decimal(decimal_text(value))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
