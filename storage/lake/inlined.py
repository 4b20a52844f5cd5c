"""Rows that DuckLake keeps in its catalog: every update leaves the old version of the row behind."""

import duckdb

from storage.lake.errors import typed_errors

_CATALOG = "__ducklake_metadata_lake.public"


def prune_inlined(connection: duckdb.DuckDBPyConnection, kept: int = 64) -> None:
    """Delete versions of inlined rows that were replaced many snapshots ago.

    DuckLake 1.5.5 never does, not even when it expires snapshots, and reads all of them again with each update:
    offsets, updated every second, would slow each commit a little more. Readers of the last ``kept``
    snapshots see what they saw. Nobody asks for older offsets.
    """
    with typed_errors():
        tables = connection.execute(f"SELECT table_name FROM {_CATALOG}.ducklake_inlined_data_tables").fetchall()  # noqa: S608 - a constant
        last = connection.execute(f"SELECT max(snapshot_id) FROM {_CATALOG}.ducklake_snapshot").fetchone()  # noqa: S608 - a constant
        for (table,) in tables:
            connection.execute(
                f'DELETE FROM {_CATALOG}."{table}" WHERE end_snapshot < ?',  # noqa: S608 - DuckLake's own name
                [(last[0] if last else 0) - kept],
            )
