from dataclasses import replace

import duckdb
import psycopg
import pytest
from pydantic import SecretStr

from core.errors import IntegrityError, TransientError, UserError
from storage import lake
from storage.lake.inlined import prune_inlined

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
DAY = 86_400_000_000
MINUTE = 60_000_000


def counted(connection, table="trades"):
    return connection.execute(f"SELECT count(*) FROM lake.{table}").fetchone()[0]


def test_creating_twice_is_creating_once(lake_connection, lake_connect):
    lake.create(lake_connection)
    lake.create(lake_connect())
    assert lake_connection.execute("SELECT version FROM lake.meta").fetchall() == [(2,)]


def test_a_creation_that_was_cut_short_is_finished(fresh_lake, tmp_path, batch):
    connection = lake.connect(fresh_lake("template0"), str(tmp_path), read_only=False)
    with pytest.raises(UserError, match="tidemill migrate"):
        lake.LakeWriter(connection, "p")
    connection.execute("CREATE TABLE lake.meta (version INTEGER NOT NULL)")
    lake.create(connection)
    lake.LakeWriter(connection, "p").commit([batch([1], [T]).to_arrow()], [], {"f": 0})
    assert counted(connection) == 1
    connection.close()


def test_a_newer_lake_is_refused(lake_connection):
    lake_connection.execute("UPDATE lake.meta SET version = 99")
    with pytest.raises(UserError, match="newer Tidemill"):
        lake.create(lake_connection)


def test_days_and_months_are_partitions_and_files_are_sorted(lake_connection, tmp_path, batch, candle, arrow):
    writer = lake.LakeWriter(lake_connection, "p0")
    times = [T + DAY - 1, T + DAY, T + 2 * DAY, T + DAY + 5]
    batches = [
        batch([4, 3, 2, 1], times, "okx:BTC-USDT").to_arrow(),
        batch([9, 8, 7, 6], times).to_arrow(),
        batch([5], [T + DAY]).to_arrow(),
    ]
    months = [T, T + 31 * DAY, T + 150 * DAY]
    writer.commit(batches, [arrow(*map(candle, months))], {"f": 0})
    assert {p.parent.name for p in (tmp_path / "files/main/trades").rglob("*.parquet")} == {
        "day=2024-08-09",
        "day=2024-08-10",
        "day=2024-08-11",
    }
    assert {p.parent.name for p in (tmp_path / "files/main/candles").rglob("*.parquet")} == {
        "month=2024-08-01",
        "month=2024-09-01",
        "month=2025-01-01",
    }
    wrong = "SELECT count(*) FROM lake.trades WHERE day <> ts::DATE"
    assert lake_connection.execute(wrong).fetchone() == (0,)
    (middle,) = (tmp_path / "files/main/trades/day=2024-08-10").glob("*.parquet")
    rows = lake_connection.execute(f"SELECT instrument, trade_id FROM read_parquet('{middle}')").fetchall()
    binance, okx = "binance:BTC-USDT", "okx:BTC-USDT"
    assert rows == [(binance, 5), (binance, 8), (binance, 6), (okx, 3), (okx, 1)]


def test_merging_files_changes_no_row(lake_connection, lake_connect, batch, candle, arrow):
    writer = lake.LakeWriter(lake_connection, "p0")
    for n in range(6):
        writer.commit([batch([n], [T + n % 2 * DAY]).to_arrow()], [arrow(candle(T + n * MINUTE))], {"f": n})
    rows = lake_connection.execute("FROM lake.trades ORDER BY ALL").fetchall()
    candles = lake_connection.execute("FROM lake.candles ORDER BY ALL").fetchall()
    lake_connection.execute("CALL ducklake_merge_adjacent_files('lake')")
    lake_connection.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
    lake_connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
    other = lake_connect(read_only=True)
    assert other.execute("FROM lake.trades ORDER BY ALL").fetchall() == rows
    assert other.execute("FROM lake.candles ORDER BY ALL").fetchall() == candles
    writer.commit([batch([9], [T]).to_arrow()], [], {"f": 9})
    assert counted(other) == 7


def test_updates_of_offsets_leave_little_behind(lake_connection, lake_address):
    writer = lake.LakeWriter(lake_connection, "p0")
    for n in range(12):
        writer.commit([], [], {"f": n})
    prune_inlined(lake_connection, kept=4)
    with psycopg.connect(lake_address.conninfo(lake_address.lake_db)) as catalog:
        (table,) = catalog.execute(
            "SELECT d.table_name FROM ducklake_inlined_data_tables d JOIN ducklake_table t USING (table_id)"
            " WHERE t.table_name = 'offsets'"
        ).fetchone()
        assert catalog.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= 6
    assert lake.LakeWriter(lake_connection, "p0").offsets() == {"f": 11}
    writer.commit([], [], {"f": 12})


def test_a_lake_that_was_moved_is_read_where_it_is(lake_connection, lake_address, tmp_path, batch):
    lake.LakeWriter(lake_connection, "p0").commit([batch([1], [T]).to_arrow()], [], {"f": 0})
    (tmp_path / "files").rename(tmp_path / "moved")
    moved = lake.connect(lake_address, str(tmp_path / "moved"), read_only=False)
    try:
        lake.LakeWriter(moved, "p0").commit([batch([2], [T]).to_arrow()], [], {"f": 1})
        assert counted(moved) == 2
    finally:
        moved.close()


def test_a_lost_file_is_said_to_be_lost(lake_connection, lake_connect, tmp_path, batch):
    lake.LakeWriter(lake_connection, "p0").commit([batch([1], [T]).to_arrow()], [], {"f": 0})
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    with pytest.raises(IntegrityError, match="No such file"):
        lake.trades(lake_connect(), "binance:BTC-USDT", T, T + 1)


def test_a_reader_can_write_nothing(lake_connection, lake_connect):
    with pytest.raises(duckdb.Error, match="read-only"):
        lake_connect(read_only=True).execute("DELETE FROM lake.meta")


def test_errors_hold_no_password(lake_address, tmp_path):
    secret = "hunter2's-secret"
    for wrong in (
        replace(lake_address, password=SecretStr(secret)),
        replace(lake_address, password=SecretStr(secret), port=1),
    ):
        with pytest.raises((UserError, TransientError)) as caught:
            lake.connect(wrong, str(tmp_path), read_only=True)
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert "hunter2" not in str(caught.value.__context__)


def test_a_session_shows_no_password(lake_connection, lake_address):
    password = lake_address.password.get_secret_value()
    for query in ("FROM duckdb_secrets()", "FROM duckdb_databases()", "FROM duckdb_settings()"):
        assert password not in str(lake_connection.execute(query).fetchall())
