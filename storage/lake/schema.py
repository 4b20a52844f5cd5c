"""The tables of the lake, and the version of their layout.

Each row says the day or month (candles) that it belongs to: partitioning by DuckLake's own
``year(ts), month(ts), day(ts)`` cost more than half of a commit (docs/decisions/0003-lake-layout.md).
"""

from typing import Any

import duckdb
import pyarrow as pa

from core.candles import SUM_SCALE
from core.errors import UserError
from storage.lake.errors import typed_errors
from storage.lake.tables import TABLES

VERSION = 2

_ADDED = {1: ("trades", "candles"), 2: ("quotes", "mark_prices", "venue_candles")}
"""The tables that came with each version."""

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int8(): "TINYINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.timestamp("us", "UTC"): "TIMESTAMPTZ",
    pa.decimal128(38, SUM_SCALE): f"DECIMAL(38, {SUM_SCALE})",
}


def create(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the tables that are not there yet, in a lake of an earlier version, too.

    Raises `UserError` where a newer version has made the lake. Call it under the lock of the migrations: two at
    once may get a `TransientError`.
    """
    with typed_errors():
        version = _version(connection)
        if version is not None and version > VERSION:
            raise UserError(f"the lake has layout {version}, this Tidemill knows {VERSION}: use a newer Tidemill")
        for statement in _statements(version):
            connection.execute(statement)


def _version(connection: duckdb.DuckDBPyConnection) -> int | None:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = 'meta'"
    ).fetchone()
    if not found or not found[0]:
        return None
    row = connection.execute("SELECT max(version) FROM lake.meta").fetchone()
    return row[0] if row else None


def _statements(version: int | None) -> list[str]:
    """Give what leads from a version (None: from nothing) to this one; what was cut short is begun again."""
    if version is None:
        # Few rows, updated with every commit: they live in the catalog itself, as durable as it is.
        return [
            "CREATE TABLE IF NOT EXISTS lake.offsets"
            ' ("partition" VARCHAR NOT NULL, feed VARCHAR NOT NULL, "offset" BIGINT NOT NULL)',
            "CREATE TABLE IF NOT EXISTS lake.meta (version INTEGER NOT NULL)",
            *(_inlining(table, 1000) for table in ("offsets", "meta")),
            "CALL lake.set_option('parquet_compression', 'zstd')",
            *_tables(0),
            f"INSERT INTO lake.meta VALUES ({VERSION})",  # noqa: S608 - a number
        ]
    if version == VERSION:
        return []
    return [*_tables(version), f"UPDATE lake.meta SET version = {VERSION}"]  # noqa: S608 - a number


def _tables(after: int) -> list[str]:
    statements = []
    for name in (name for version, names in _ADDED.items() if version > after for name in names):
        table = TABLES[name]
        columns = ", ".join(_column(field) for field in table.schema)
        statements += [
            f"CREATE TABLE IF NOT EXISTS lake.{name} ({columns}, {table.partition} DATE NOT NULL)",
            f"ALTER TABLE lake.{name} SET PARTITIONED BY ({table.partition})",
            _inlining(name, 0),
        ]
    return statements


def _inlining(table: str, rows: int) -> str:
    return f"CALL lake.set_option('data_inlining_row_limit', {rows}, table_name => '{table}')"


def _column(field: "pa.Field[Any]") -> str:
    return f'"{field.name}" {_SQL_TYPES[field.type]}{"" if field.nullable else " NOT NULL"}'
