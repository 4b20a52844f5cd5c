"""The tables of the lake, and the version of their layout.

Each row says the day (trades) or month (candles) that it belongs to: partitioning by DuckLake's own
``year(ts), month(ts), day(ts)`` cost more than half of a commit (docs/decisions/0003-lake-layout.md).
"""

from typing import Any

import duckdb
import pyarrow as pa

from core.candles import CANDLES_SCHEMA, SUM_SCALE
from core.errors import UserError
from core.trades import TRADES_SCHEMA
from storage.lake.errors import typed_errors

VERSION = 1

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
    """Create the tables that are not there yet; raise `UserError` where a newer version has made the lake.

    Call it under the lock of the migrations: two at once may get a `TransientError`.
    """
    with typed_errors():
        version = _version(connection)
        if version is None:
            for statement in _statements():
                connection.execute(statement)
    if version is not None and version > VERSION:
        raise UserError(f"the lake has layout {version}, this Tidemill knows {VERSION}: use a newer Tidemill")


def _version(connection: duckdb.DuckDBPyConnection) -> int | None:
    found = connection.execute(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'lake' AND table_name = 'meta'"
    ).fetchone()
    if not found or not found[0]:
        return None
    row = connection.execute("SELECT max(version) FROM lake.meta").fetchone()
    return row[0] if row else None


def _statements() -> list[str]:
    trades = ", ".join(_column(field) for field in TRADES_SCHEMA)
    candles = ", ".join(_column(field) for field in CANDLES_SCHEMA)
    return [
        f"CREATE TABLE IF NOT EXISTS lake.trades ({trades}, day DATE NOT NULL)",
        "ALTER TABLE lake.trades SET PARTITIONED BY (day)",
        f"CREATE TABLE IF NOT EXISTS lake.candles ({candles}, month DATE NOT NULL)",
        "ALTER TABLE lake.candles SET PARTITIONED BY (month)",
        "CREATE TABLE IF NOT EXISTS lake.offsets"
        ' ("partition" VARCHAR NOT NULL, feed VARCHAR NOT NULL, "offset" BIGINT NOT NULL)',
        "CREATE TABLE IF NOT EXISTS lake.meta (version INTEGER NOT NULL)",
        # Few rows, updated with every commit: they live in the catalog itself, as durable as it is.
        *(
            f"CALL lake.set_option('data_inlining_row_limit', {rows}, table_name => '{table}')"
            for table, rows in (("offsets", 1000), ("meta", 1000), ("trades", 0), ("candles", 0))
        ),
        "CALL lake.set_option('parquet_compression', 'zstd')",
        # Last, so that what was cut short is begun again.
        f"INSERT INTO lake.meta VALUES ({VERSION})",  # noqa: S608 - a number
    ]


def _column(field: "pa.Field[Any]") -> str:
    return f'"{field.name}" {_SQL_TYPES[field.type]} NOT NULL'
