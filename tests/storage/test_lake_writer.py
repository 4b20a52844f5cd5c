import threading
from dataclasses import replace
from decimal import Decimal
from itertools import count

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from core.candles import CANDLES_SCHEMA, Candle
from core.errors import IntegrityError, TransientError, UserError
from core.settings import LedgerSettings, Settings
from core.trades import TradeBatch
from storage import lake
from storage.data_folder import DataFolder
from storage.lake.inlined import prune_inlined
from storage.ledger.server import serve

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
DAY = 86_400_000_000
MINUTE = 60_000_000
NAMES = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(Settings(ledger=LedgerSettings()), DataFolder(tmp_path_factory.mktemp("lake") / "data")) as address:
        yield address


@pytest.fixture(scope="module")
def template(server, tmp_path_factory):
    connection = lake.connect(server, str(tmp_path_factory.mktemp("template")), read_only=False)
    lake.create(connection)
    connection.close()
    return server.lake_db


@pytest.fixture
def address(server, template):
    return fresh(server, template)


@pytest.fixture
def connect(address, tmp_path):
    opened = []

    def one(read_only=False):
        opened.append(lake.connect(address, str(tmp_path / "files"), read_only=read_only))
        return opened[-1]

    yield one
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect):
    return connect()


def fresh(server, template):
    name = f"lake_{next(NAMES)}"
    with psycopg.connect(server.conninfo(server.ledger_db), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return replace(server, lake_db=name)


def batch(ids, ts, instrument="binance:BTC-USDT", id_space="trade"):
    n = len(ids)
    numbers = np.arange(n)
    return TradeBatch(
        instrument,
        id_space,
        np.asarray(ids, dtype=np.int64),
        np.asarray(ts, dtype=np.int64),
        np.asarray(ts, dtype=np.int64) + 1234,
        60_000 + numbers / 100,
        (numbers + 1) / 100_000,
        np.where(numbers % 2, 1, -1).astype(np.int8),
        np.ones(n, dtype=np.int32),
        np.full(n, -1, dtype=np.int64),
    )


def candle(start=T, revision=0, timeframe="1m", volume="1.5", instrument="binance:BTC-USDT", **values):
    flat = Candle(
        instrument, timeframe, start, 1.0, 2.0, 0.5, 1.5, Decimal(volume), Decimal(3), 7, Decimal(1), True, revision
    )
    return replace(flat, **values)


def arrow(*candles):
    columns = {name: [getattr(c, name) for c in candles] for name in CANDLES_SCHEMA.names if name != "start"} | {
        "start": pa.array([c.start for c in candles], pa.int64()).cast(pa.timestamp("us", "UTC"))
    }
    return pa.RecordBatch.from_pydict({name: columns[name] for name in CANDLES_SCHEMA.names}, CANDLES_SCHEMA)


def counted(connection, table="trades"):
    return connection.execute(f"SELECT count(*) FROM lake.{table}").fetchone()[0]


def same(left, right):
    return all(
        np.array_equal(
            a.view(np.int64) if a.dtype == np.float64 else a, b.view(np.int64) if b.dtype == np.float64 else b
        )
        for a, b in zip(left.columns(), right.columns(), strict=True)
    )


def test_creating_twice_is_creating_once(connection, connect):
    lake.create(connection)
    lake.create(connect())
    assert connection.execute("SELECT version FROM lake.meta").fetchall() == [(1,)]


def test_a_creation_that_was_cut_short_is_finished(server, tmp_path):
    connection = lake.connect(fresh(server, "template0"), str(tmp_path), read_only=False)
    with pytest.raises(UserError, match="tidemill migrate"):
        lake.LakeWriter(connection, "p")
    connection.execute("CREATE TABLE lake.meta (version INTEGER NOT NULL)")
    lake.create(connection)
    lake.LakeWriter(connection, "p").commit([batch([1], [T]).to_arrow()], [], {"f": 0})
    assert counted(connection) == 1
    connection.close()


def test_a_newer_lake_is_refused(connection):
    connection.execute("UPDATE lake.meta SET version = 99")
    with pytest.raises(UserError, match="newer Tidemill"):
        lake.create(connection)


def test_rows_and_offsets_are_there_together(connection, connect):
    writer = lake.LakeWriter(connection, "p0")
    assert writer.offsets() == {}
    writer.commit([batch([1, 2], [T, T + 1]).to_arrow()], [arrow(candle())], {"btc": 10, "eth": 3})
    writer.commit([], [], {"eth": 4})
    reader = connect(read_only=True)
    assert (counted(reader), counted(reader, "candles")) == (2, 1)
    assert lake.LakeWriter(connect(), "p0").offsets() == writer.offsets() == {"btc": 10, "eth": 4}
    assert lake.LakeWriter(connect(), "other").offsets() == {}


def test_an_offset_never_moves_back_and_nothing_is_stored_then(connection):
    writer = lake.LakeWriter(connection, "p0")
    writer.commit([], [], {"btc": 10})
    with pytest.raises(IntegrityError, match="before the committed 10"):
        writer.commit([batch([1], [T]).to_arrow()], [], {"btc": 9})
    assert counted(connection) == 0
    assert lake.LakeWriter(connection, "p0").offsets() == {"btc": 10}


def test_nothing_to_say_makes_no_snapshot(connection):
    writer = lake.LakeWriter(connection, "p0")
    writer.commit([], [], {"btc": 10})
    before = connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone()
    writer.commit([], [], {"btc": 10})
    writer.commit([], [], {})
    writer.revise([])
    assert writer.add_trades([]) == 0
    assert connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone() == before


def test_a_second_writer_of_a_partition_is_found_out(connection, connect):
    first = lake.LakeWriter(connection, "p0")
    first.commit([], [], {"btc": 1})
    second = lake.LakeWriter(connect(), "p0")
    first.commit([batch([1], [T]).to_arrow()], [], {"btc": 2})
    for offsets in ({"btc": 1}, {"btc": 2}, {"btc": 3}):
        with pytest.raises(IntegrityError, match="another writer"):
            second.commit([batch([1], [T]).to_arrow()], [], offsets)
    first.commit([batch([2], [T]).to_arrow()], [], {"btc": 3})
    assert counted(connection) == 2


def test_of_two_first_commits_one_is_found_out(connection, connect):
    writers = [lake.LakeWriter(connection, "p0"), lake.LakeWriter(connect(), "p0")]
    writers[0].commit([batch([1], [T]).to_arrow()], [], {"btc": 0})
    with pytest.raises(IntegrityError, match="another writer"):
        writers[1].commit([batch([1], [T]).to_arrow()], [], {"btc": 0})
    assert counted(connection) == 1


def test_writers_at_the_same_time_never_store_a_row_twice(connection, connect):
    writers = [lake.LakeWriter(connect(), "p0") for _ in range(2)]
    start = threading.Barrier(2)
    failed = []

    def commit(writer):
        start.wait()
        for offset in range(5):
            try:
                writer.commit([batch([offset], [T]).to_arrow()], [], {"btc": offset})
            except (IntegrityError, TransientError) as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=commit, args=(writer,)) for writer in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed
    stored = connection.execute("SELECT trade_id, count(*) FROM lake.trades GROUP BY ALL").fetchall()
    assert all(n == 1 for _, n in stored)
    assert len(stored) == lake.LakeWriter(connection, "p0").offsets()["btc"] + 1


def test_writers_of_different_partitions_do_not_disturb_each_other(connection, connect):
    one, other = lake.LakeWriter(connection, "p0"), lake.LakeWriter(connect(), "p1")
    for offset in range(3):
        one.commit([batch([offset], [T]).to_arrow()], [], {"btc": offset})
        other.commit([batch([offset], [T], "okx:BTC-USDT").to_arrow()], [], {"btc": offset})
    assert counted(connection) == 6


def test_a_commit_that_fails_leaves_nothing(connection, connect, tmp_path):
    writer = lake.LakeWriter(connection, "p0")
    writer.commit([batch([1], [T]).to_arrow()], [], {"btc": 0})
    files = set(tmp_path.rglob("*.parquet"))
    # Trades can be written, candles cannot: a file stands where their folder should be.
    obstacle = tmp_path / "files/main/candles"
    obstacle.touch()
    with pytest.raises(TransientError, match="cannot write to the lake's folder"):
        writer.commit([batch([2], [T]).to_arrow()], [arrow(candle())], {"btc": 1})
    obstacle.unlink()
    assert set(tmp_path.rglob("*.parquet")) == files
    assert (counted(connection), counted(connection, "candles"), writer.offsets()) == (1, 0, {"btc": 0})
    writer.commit([batch([2], [T]).to_arrow()], [arrow(candle())], {"btc": 1})
    assert (counted(connect()), counted(connect(), "candles")) == (2, 1)


def test_days_and_months_are_partitions_and_files_are_sorted(connection, tmp_path):
    writer = lake.LakeWriter(connection, "p0")
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
    assert connection.execute(wrong).fetchone() == (0,)
    (middle,) = (tmp_path / "files/main/trades/day=2024-08-10").glob("*.parquet")
    rows = connection.execute(f"SELECT instrument, trade_id FROM read_parquet('{middle}')").fetchall()
    binance, okx = "binance:BTC-USDT", "okx:BTC-USDT"
    assert rows == [(binance, 5), (binance, 8), (binance, 6), (okx, 3), (okx, 1)]


def test_merging_files_changes_no_row(connection, connect):
    writer = lake.LakeWriter(connection, "p0")
    for n in range(6):
        writer.commit([batch([n], [T + n % 2 * DAY]).to_arrow()], [arrow(candle(T + n * MINUTE))], {"f": n})
    rows = connection.execute("FROM lake.trades ORDER BY ALL").fetchall()
    candles = connection.execute("FROM lake.candles ORDER BY ALL").fetchall()
    connection.execute("CALL ducklake_merge_adjacent_files('lake')")
    connection.execute("CALL ducklake_expire_snapshots('lake', older_than => now())")
    connection.execute("CALL ducklake_cleanup_old_files('lake', cleanup_all => true)")
    other = connect(read_only=True)
    assert other.execute("FROM lake.trades ORDER BY ALL").fetchall() == rows
    assert other.execute("FROM lake.candles ORDER BY ALL").fetchall() == candles
    writer.commit([batch([9], [T]).to_arrow()], [], {"f": 9})
    assert counted(other) == 7


def test_revisions_only_grow(connection):
    writer = lake.LakeWriter(connection, "p0")
    writer.commit([], [arrow(candle(), candle(T + MINUTE))], {"f": 0})
    writer.revise([arrow(candle(revision=1, close=9.0))])
    for revision in (0, 1):
        with pytest.raises(IntegrityError, match="is stored"):
            writer.revise([arrow(candle(T + MINUTE, revision=1), candle(revision=revision))])
    assert counted(connection, "candles") == 3
    latest = lake.latest_candles(connection, "binance:BTC-USDT", "1m", T, T + DAY)
    assert latest == [candle(revision=1, close=9.0), candle(T + MINUTE)]


def test_adding_trades_twice_is_adding_them_once(connection):
    writer = lake.LakeWriter(connection, "p0")
    writer.commit([batch([1, 2], [T, T]).to_arrow()], [], {"f": 0})
    rows = batch([2, 3, 3, 4], [T, T, T, T + DAY])
    assert writer.add_trades([rows.to_arrow()]) == 2
    assert writer.add_trades([rows.to_arrow()]) == 0
    assert writer.add_trades([batch([1], [T], id_space="aggregate").to_arrow()]) == 1
    assert writer.add_trades([batch([1], [T], "okx:BTC-USDT").to_arrow()]) == 1
    stored = connection.execute("SELECT trade_id FROM lake.trades WHERE id_space = 'trade' ORDER BY 1").fetchall()
    assert stored == [(1,), (1,), (2,), (3,), (4,)]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.decimals(min_value=0, max_value=Decimal("1e19"), places=18, allow_nan=False), min_size=1, max_size=5)
)
def test_sums_survive_to_the_last_digit(server_lake, volumes):
    connection, writer = server_lake
    start = T + next(NAMES) * 10 * MINUTE
    stored = [candle(start + n * MINUTE, volume=str(v)) for n, v in enumerate(volumes)]
    writer.commit([], [arrow(*stored)], {"f": start})
    assert lake.latest_candles(connection, "binance:BTC-USDT", "1m", start, start + 10 * MINUTE) == stored


@pytest.fixture(scope="module")
def server_lake(server, template, tmp_path_factory):
    connection = lake.connect(fresh(server, template), str(tmp_path_factory.mktemp("files")), read_only=False)
    yield connection, lake.LakeWriter(connection, "law")
    connection.close()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * DAY - 1),
            st.floats(1e-12, 1e12, allow_nan=False),
            st.floats(1e-12, 1e12, allow_nan=False),
            st.sampled_from([1, -1]),
            st.integers(1, 2**31 - 1),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_trades_come_back_bit_for_bit(server_lake, rows):
    connection, writer = server_lake
    name = f"binance:A{next(NAMES)}-USDT"
    ts, price, size, side, fills = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    written = TradeBatch(
        name,
        "aggregate",
        np.arange(n)[::-1].copy(),
        T + ts,
        T + ts - 5,
        price,
        size,
        side.astype(np.int8),
        fills.astype(np.int32),
        np.full(n, -1),
    )
    writer.commit(
        [written.take(slice(0, 5)).to_arrow(), written.take(slice(5, n)).to_arrow()][: 1 + (n > 5)], [], {name: 0}
    )
    assert same(lake.trades(connection, name, T, T + 3 * DAY), written.in_event_order())


def test_updates_of_offsets_leave_little_behind(connection, address):
    writer = lake.LakeWriter(connection, "p0")
    for n in range(80):
        writer.commit([], [], {"f": n})
    prune_inlined(connection)
    with psycopg.connect(address.conninfo(address.lake_db)) as catalog:
        (table,) = catalog.execute(
            "SELECT d.table_name FROM ducklake_inlined_data_tables d JOIN ducklake_table t USING (table_id)"
            " WHERE t.table_name = 'offsets'"
        ).fetchone()
        assert catalog.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= 66
    assert lake.LakeWriter(connection, "p0").offsets() == {"f": 79}
    writer.commit([], [], {"f": 80})


def test_a_lake_that_was_moved_is_read_where_it_is(connection, address, tmp_path):
    lake.LakeWriter(connection, "p0").commit([batch([1], [T]).to_arrow()], [], {"f": 0})
    (tmp_path / "files").rename(tmp_path / "moved")
    moved = lake.connect(address, str(tmp_path / "moved"), read_only=False)
    try:
        lake.LakeWriter(moved, "p0").commit([batch([2], [T]).to_arrow()], [], {"f": 1})
        assert counted(moved) == 2
    finally:
        moved.close()


def test_a_lost_file_is_said_to_be_lost(connection, connect, tmp_path):
    lake.LakeWriter(connection, "p0").commit([batch([1], [T]).to_arrow()], [], {"f": 0})
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    with pytest.raises(IntegrityError, match="No such file"):
        lake.trades(connect(), "binance:BTC-USDT", T, T + 1)


def test_a_reader_can_write_nothing(connection, connect):
    with pytest.raises(duckdb.Error, match="read-only"):
        connect(read_only=True).execute("DELETE FROM lake.meta")


def test_errors_hold_no_password(address, tmp_path):
    secret = "hunter2's-secret"
    for wrong in (replace(address, password=SecretStr(secret)), replace(address, password=SecretStr(secret), port=1)):
        with pytest.raises((UserError, TransientError)) as caught:
            lake.connect(wrong, str(tmp_path), read_only=True)
        assert "hunter2" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert "hunter2" not in str(caught.value.__context__)


def test_a_session_shows_no_password(connection, address):
    password = address.password.get_secret_value()
    for query in ("FROM duckdb_secrets()", "FROM duckdb_databases()", "FROM duckdb_settings()"):
        assert password not in str(connection.execute(query).fetchall())
