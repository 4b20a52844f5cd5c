import threading

import pytest

from core.errors import IntegrityError, TransientError
from storage import lake

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
DAY = 86_400_000_000
MINUTE = 60_000_000


def counted(connection, table="trades"):
    return connection.execute(f"SELECT count(*) FROM lake.{table}").fetchone()[0]


def test_rows_and_offsets_are_there_together(lake_connection, lake_connect, batch, candle, arrow):
    writer = lake.LakeWriter(lake_connection, "p0")
    assert writer.offsets() == {}
    writer.commit([batch([1, 2], [T, T + 1]).to_arrow()], [arrow(candle())], {"btc": 10, "eth": 3})
    writer.commit([], [], {"eth": 4})
    reader = lake_connect(read_only=True)
    assert (counted(reader), counted(reader, "candles")) == (2, 1)
    assert lake.LakeWriter(lake_connect(), "p0").offsets() == writer.offsets() == {"btc": 10, "eth": 4}
    assert lake.LakeWriter(lake_connect(), "other").offsets() == {}


def test_an_offset_never_moves_back_and_nothing_is_stored_then(lake_connection, batch):
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([], [], {"btc": 10})
    with pytest.raises(IntegrityError, match="before the committed 10"):
        writer.commit([batch([1], [T]).to_arrow()], [], {"btc": 9})
    assert counted(lake_connection) == 0
    assert lake.LakeWriter(lake_connection, "p0").offsets() == {"btc": 10}


def test_nothing_to_say_makes_no_snapshot(lake_connection):
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([], [], {"btc": 10})
    before = lake_connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone()
    writer.commit([], [], {"btc": 10})
    writer.commit([], [], {})
    writer.revise([])
    assert writer.add_trades([]) == 0
    assert lake_connection.execute("SELECT count(*) FROM lake.snapshots()").fetchone() == before


def test_a_second_writer_of_a_partition_is_found_out(lake_connection, lake_connect, batch):
    first = lake.LakeWriter(lake_connection, "p0")
    first.commit([], [], {"btc": 1})
    second = lake.LakeWriter(lake_connect(), "p0")
    first.commit([batch([1], [T]).to_arrow()], [], {"btc": 2})
    for offsets in ({"btc": 1}, {"btc": 2}, {"btc": 3}):
        with pytest.raises(IntegrityError, match="another writer"):
            second.commit([batch([1], [T]).to_arrow()], [], offsets)
    first.commit([batch([2], [T]).to_arrow()], [], {"btc": 3})
    assert counted(lake_connection) == 2


def test_of_two_first_commits_one_is_found_out(lake_connection, lake_connect, batch):
    writers = [lake.LakeWriter(lake_connection, "p0"), lake.LakeWriter(lake_connect(), "p0")]
    writers[0].commit([batch([1], [T]).to_arrow()], [], {"btc": 0})
    with pytest.raises(IntegrityError, match="another writer"):
        writers[1].commit([batch([1], [T]).to_arrow()], [], {"btc": 0})
    assert counted(lake_connection) == 1


def test_writers_at_the_same_time_never_store_a_row_twice(lake_connection, lake_connect, batch):
    writers = [lake.LakeWriter(lake_connect(), "p0") for _ in range(2)]
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
    stored = lake_connection.execute("SELECT trade_id, count(*) FROM lake.trades GROUP BY ALL").fetchall()
    assert all(n == 1 for _, n in stored)
    assert len(stored) == lake.LakeWriter(lake_connection, "p0").offsets()["btc"] + 1


def test_writers_of_different_partitions_do_not_disturb_each_other(lake_connection, lake_connect, batch):
    one, other = lake.LakeWriter(lake_connection, "p0"), lake.LakeWriter(lake_connect(), "p1")
    for offset in range(3):
        one.commit([batch([offset], [T]).to_arrow()], [], {"btc": offset})
        other.commit([batch([offset], [T], "okx:BTC-USDT").to_arrow()], [], {"btc": offset})
    assert counted(lake_connection) == 6


def test_a_commit_that_fails_leaves_nothing(lake_connection, lake_connect, tmp_path, batch, candle, arrow):
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([batch([1], [T]).to_arrow()], [], {"btc": 0})
    files = set(tmp_path.rglob("*.parquet"))
    # Trades can be written, candles cannot: a file stands where their folder should be.
    obstacle = tmp_path / "files/main/candles"
    obstacle.touch()
    with pytest.raises(TransientError, match="cannot write to the lake's folder"):
        writer.commit([batch([2], [T]).to_arrow()], [arrow(candle())], {"btc": 1})
    obstacle.unlink()
    assert set(tmp_path.rglob("*.parquet")) == files
    assert (counted(lake_connection), counted(lake_connection, "candles"), writer.offsets()) == (1, 0, {"btc": 0})
    writer.commit([batch([2], [T]).to_arrow()], [arrow(candle())], {"btc": 1})
    assert (counted(lake_connect()), counted(lake_connect(), "candles")) == (2, 1)


def test_revisions_only_grow(lake_connection, candle, arrow):
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([], [arrow(candle(), candle(T + MINUTE))], {"f": 0})
    writer.revise([arrow(candle(revision=1, close=9.0))])
    for revision in (0, 1):
        with pytest.raises(IntegrityError, match="is stored"):
            writer.revise([arrow(candle(T + MINUTE, revision=1), candle(revision=revision))])
    assert counted(lake_connection, "candles") == 3
    latest = lake.latest_candles(lake_connection, "binance:BTC-USDT", "1m", T, T + DAY)
    assert latest == [candle(revision=1, close=9.0), candle(T + MINUTE)]


def test_adding_trades_twice_is_adding_them_once(lake_connection, batch):
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([batch([1, 2], [T, T]).to_arrow()], [], {"f": 0})
    rows = batch([2, 3, 3, 4], [T, T, T, T + DAY])
    assert writer.add_trades([rows.to_arrow()]) == 2
    assert writer.add_trades([rows.to_arrow()]) == 0
    assert writer.add_trades([batch([1], [T], id_space="aggregate").to_arrow()]) == 1
    assert writer.add_trades([batch([1], [T], "okx:BTC-USDT").to_arrow()]) == 1
    stored = lake_connection.execute(
        "SELECT trade_id FROM lake.trades WHERE id_space = 'trade' ORDER BY 1"
    ).fetchall()
    assert stored == [(1,), (1,), (2,), (3,), (4,)]
