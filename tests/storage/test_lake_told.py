"""Quotes, mark prices and the venue's candles in the lake; a lake of the first layout is brought to this one."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.klines import ClosedKline, KlineBatch
from core.mark_prices import UNTOLD, MarkPriceBatch
from core.quotes import QuoteBatch
from storage import lake
from storage.catalog import open_catalog

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
MINUTE = 60_000_000
DAY = 86_400_000_000
BTC, ETH = "binance:BTC-USDT", "binance:ETH-USDT"

VERSION_1 = (
    "CREATE TABLE lake.trades (instrument VARCHAR NOT NULL, id_space VARCHAR NOT NULL, trade_id BIGINT NOT NULL,"
    " ts TIMESTAMPTZ NOT NULL, received TIMESTAMPTZ NOT NULL, price DOUBLE NOT NULL, size DOUBLE NOT NULL,"
    " side TINYINT NOT NULL, fills INTEGER NOT NULL, day DATE NOT NULL)",
    "ALTER TABLE lake.trades SET PARTITIONED BY (day)",
    "CREATE TABLE lake.candles (instrument VARCHAR NOT NULL, timeframe VARCHAR NOT NULL, start TIMESTAMPTZ NOT NULL,"
    " open DOUBLE NOT NULL, high DOUBLE NOT NULL, low DOUBLE NOT NULL, close DOUBLE NOT NULL,"
    " volume DECIMAL(38, 18) NOT NULL, quote_volume DECIMAL(38, 18) NOT NULL, trade_count BIGINT NOT NULL,"
    " taker_buy_volume DECIMAL(38, 18) NOT NULL, complete BOOLEAN NOT NULL, revision INTEGER NOT NULL,"
    " month DATE NOT NULL)",
    "ALTER TABLE lake.candles SET PARTITIONED BY (month)",
    'CREATE TABLE lake.offsets ("partition" VARCHAR NOT NULL, feed VARCHAR NOT NULL, "offset" BIGINT NOT NULL)',
    "CREATE TABLE lake.meta (version INTEGER NOT NULL)",
    *(
        f"CALL lake.set_option('data_inlining_row_limit', {rows}, table_name => '{table}')"
        for table, rows in (("offsets", 1000), ("meta", 1000), ("trades", 0), ("candles", 0))
    ),
    "CALL lake.set_option('parquet_compression', 'zstd')",
    "INSERT INTO lake.meta VALUES (1)",
)


def quotes(*rows):
    """Build quotes from (instrument, seconds after T, id, bid, ask)."""
    names, at, ids, bid, ask = zip(*rows, strict=True)
    ts = np.array([T + int(second * 1_000_000) for second in at])
    known = tuple(dict.fromkeys(names))
    return QuoteBatch(
        known,
        np.array([known.index(name) for name in names], np.int32),
        ts,
        ts,
        np.zeros(len(ts), np.int64),
        np.array(ids),
        np.array(bid, float),
        np.ones(len(ts)),
        np.array(ask, float),
        np.ones(len(ts)),
    )


def kline(minute, close, received=0, **values):
    row = ClosedKline(BTC, "1m", T + minute * MINUTE, T + received, 1.0, 9.0, 0.5, close, Decimal("1.5"), *[None] * 3)
    return row._replace(**values)


def klines(*rows):
    return KlineBatch(rows, np.zeros(len(rows), np.int64)).to_arrow()


def stored(connection, table="quotes", what="id"):
    return [row[0] for row in connection.execute(f"SELECT {what} FROM lake.{table} ORDER BY ALL").fetchall()]


@pytest.fixture
def first_layout(fresh_lake, tmp_path):
    """A lake as the first version made it, with rows in it."""
    connection = lake.connect(fresh_lake("template0"), str(tmp_path / "files"), read_only=False)
    for statement in VERSION_1:
        connection.execute(statement)
    yield connection
    connection.close()


def test_a_lake_of_the_first_layout_is_upgraded_in_place_and_keeps_its_rows(first_layout, batch, candle, arrow):
    writer = lake.LakeWriter(first_layout, "p0")
    writer.commit([batch([1, 2], [T, T + DAY]).to_arrow()], [arrow(candle())], {"f": 7})
    before = [first_layout.execute(f"FROM lake.{table} ORDER BY ALL").fetchall() for table in ("trades", "candles")]
    with pytest.raises(UserError, match="tidemill migrate"):
        writer.commit([], [], {"f": 8}, {"quotes": [quotes((BTC, 0, 1, 1, 2)).to_arrow()]})
    lake.create(first_layout)
    assert first_layout.execute("SELECT version FROM lake.meta").fetchall() == [(2,)]
    after = [first_layout.execute(f"FROM lake.{table} ORDER BY ALL").fetchall() for table in ("trades", "candles")]
    assert after == before
    writer = lake.LakeWriter(first_layout, "p0")
    assert writer.offsets() == {"f": 7}
    assert writer.commit([], [], {"f": 8}, {"quotes": [quotes((BTC, 0, 1, 1, 2)).to_arrow()]}) == {"quotes": 1}
    lake.create(first_layout)
    assert stored(first_layout) == [1]


def test_an_upgrade_that_was_cut_short_is_finished(first_layout):
    lake.create(first_layout)
    first_layout.execute("UPDATE lake.meta SET version = 1")
    first_layout.execute("DROP TABLE lake.venue_candles")
    lake.create(first_layout)
    assert lake.LakeWriter(first_layout, "p").commit(
        [], [], {"f": 0}, {"venue_candles": [klines(kline(0, 1.0))]}
    ) == {"venue_candles": 1}


def test_rows_and_offsets_are_there_together_or_not_at_all(lake_connection, lake_connect, tmp_path):
    writer = lake.LakeWriter(lake_connection, "p0")
    told = {"quotes": [quotes((BTC, 0, 1, 1, 2)).to_arrow()], "venue_candles": [klines(kline(0, 1.0))]}
    obstacle = tmp_path / "files/main/venue_candles"
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    with pytest.raises(Exception, match="cannot write"):
        writer.commit([], [], {"f": 0}, told)
    assert (stored(lake_connection), writer.offsets(), list(tmp_path.rglob("*.parquet"))) == ([], {}, [])
    obstacle.unlink()
    assert writer.commit([], [], {"f": 0}, told) == {"quotes": 1, "venue_candles": 1}
    assert lake.LakeWriter(lake_connect(), "p0").offsets() == {"f": 0}


def test_what_is_told_again_is_stored_once_by_any_writer_and_in_any_order(lake_connection, lake_connect):
    rows = [(BTC, n, n + 1, 100, 101) for n in range(6)] + [(ETH, n, n + 1, 10, 11) for n in range(6)]
    first = lake.LakeWriter(lake_connection, "p0")
    assert first.commit([], [], {"f": 0}, {"quotes": [quotes(*rows[2:4], *rows[8:]).to_arrow()]}) == {"quotes": 6}
    # Older ones later, some again, then all of them by another process.
    assert first.commit([], [], {"f": 1}, {"quotes": [quotes(*rows[:4], *rows[6:9]).to_arrow()]}) == {"quotes": 4}
    second = lake.LakeWriter(lake_connect(), "p1")
    assert second.commit([], [], {"g": 0}, {"quotes": [quotes(*rows).to_arrow()]}) == {"quotes": 2}
    assert second.commit([], [], {"g": 1}, {"quotes": [quotes((BTC, 9, 7, 1, 2)).to_arrow()]}) == {"quotes": 1}
    assert stored(lake_connection, what="instrument || ' ' || id") == sorted(
        [f"{name} {number}" for name, _, number, *_ in rows] + [f"{BTC} 7"]
    )


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20), st.lists(st.integers(1, 5), min_size=20, max_size=20))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_a_recording_is_cut_its_second_replay_stores_nothing(lake_connection, told, cuts):
    lake_connection.execute("DELETE FROM lake.quotes")
    rows = [(BTC if at % 3 else ETH, at, at, 1, 2) for at in sorted(set(told))]
    lake.LakeWriter(lake_connection, "p0").commit([], [], {}, {"quotes": [quotes(*rows).to_arrow()]})
    # Before what is stored lies what is new, in the first replay of an older recording.
    older = [(BTC, -2, 1000, 1, 2), (ETH, -1, 1001, 1, 2)]
    whole, writer, stored = older + rows, lake.LakeWriter(lake_connection, "p1"), 0
    while whole:
        part, whole = whole[: cuts[0]], whole[cuts[0] :]
        cuts = cuts[1:] + cuts[:1]
        stored += writer.commit([], [], {}, {"quotes": [quotes(*part).to_arrow()]})["quotes"]
    assert stored == len(older)
    assert lake_connection.execute("SELECT count(*) FROM lake.quotes").fetchall() == [(len(older) + len(rows),)]


def test_nulls_are_equal_when_rows_are_told_again(lake_connection):
    writer = lake.LakeWriter(lake_connection, "p0")
    prices = MarkPriceBatch(
        (f"{BTC}-PERP",),
        np.zeros(2, np.int32),
        *(np.array([T, T + 1]) for _ in range(3)),
        np.array([np.nan, 5.0]),
        np.array([1.0, np.nan]),
        np.array([np.nan, -0.0001]),
        np.array([UNTOLD, T + DAY]),
    ).to_arrow()
    for offset, count in enumerate((2, 0)):
        assert writer.commit([], [], {"f": offset}, {"mark_prices": [prices]}) == {"mark_prices": count}
    found = lake_connection.execute(
        'SELECT mark, "index", funding_rate, epoch_us(next_funding) FROM lake.mark_prices ORDER BY ts'
    ).fetchall()
    assert found == [(None, 1.0, None, None), (5.0, None, -0.0001, T + DAY)]


def test_a_candle_that_is_told_otherwise_counts_as_it_was_told_last(lake_connection, lake_address, tmp_path):
    writer = lake.LakeWriter(lake_connection, "p0")
    first = [kline(0, 1.0, 1), kline(1, 2.0, 2, quote_volume=Decimal("0.000000000000000001"), trade_count=3)]
    told = [
        (first, 2),
        ([kline(0, 1.0, 5), kline(0, 1.0, 6)], 0),
        ([kline(0, 1.5, 4)], 1),
        ([kline(2, 3.0, 7), kline(2, 3.0, 8)], 1),
    ]
    for offset, (rows, count) in enumerate(told):
        assert writer.commit([], [], {"f": offset}, {"venue_candles": [klines(*rows)]}) == {"venue_candles": count}
    catalog = open_catalog(lake_address, str(tmp_path / "files"))
    query = (
        "SELECT (epoch_us(start) - ?) // 60000000, close, quote_volume, trade_count FROM venue_candles ORDER BY start"
    )
    smallest = Decimal("0.000000000000000001")
    assert catalog.execute(query, [T]).fetchall() == [
        (0, 1.5, None, None),
        (1, 2.0, smallest, 3),
        (2, 3.0, None, None),
    ]
    catalog.close()


def test_sql_knows_the_spread_and_the_quote_at_a_time(lake_connection, lake_address, tmp_path):
    rows = [(BTC, 0, 1, 61837.63, 61837.64), (BTC, 30, 2, 61837.6, 61837.9), (BTC, 90, 3, 0, 61837.9)]
    small = (ETH, 0, 1, 0.00001233, 0.00001234)
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([], [], {"f": 0}, {"quotes": [quotes(*rows, small).to_arrow()]})
    catalog = open_catalog(lake_address, str(tmp_path / "files"))
    spreads = catalog.execute("SELECT spread FROM quotes ORDER BY instrument, ts").fetchall()
    assert spreads == [(0.01,), (0.3,), (None,), (0.00000001,)]
    at = f"SELECT bid, spread FROM quote_as_of('{BTC}', '2024-08-09 00:00:45+00')"
    assert catalog.execute(at).fetchall() == [(61837.6, 0.3)]
    (minute,) = catalog.execute(
        f"SELECT epoch_us(start), quotes, narrowest, widest, round(relative * 1e8) FROM spread('{BTC}', '1m')"
    ).fetchall()
    assert minute == (T, 2, 0.01, 0.3, 251)
    for name, start in (("1w", T - 4 * DAY), ("1M", T - 8 * DAY)):
        assert catalog.execute(f"SELECT epoch_us(start) FROM spread('{ETH}', '{name}')").fetchall() == [(start,)]
    with pytest.raises(Exception, match="unknown timeframe"):
        catalog.execute(f"FROM spread('{BTC}', '7m')").fetchall()
    catalog.close()


def test_files_are_sorted_and_by_day(lake_connection, tmp_path):
    rows = quotes((ETH, 0, 1, 1, 2), (BTC, 86_400, 2, 1, 2), (BTC, 5, 3, 1, 2), (BTC, 0, 4, 1, 2))
    writer = lake.LakeWriter(lake_connection, "p0")
    writer.commit([], [], {"f": 0}, {"quotes": [replace(rows, offset=rows.offset).to_arrow()]})
    files = sorted((tmp_path / "files/main/quotes").rglob("*.parquet"))
    assert [file.parent.name for file in files] == ["day=2024-08-09", "day=2024-08-10"]
    found = lake_connection.execute(f"SELECT id FROM read_parquet('{files[0]}')").fetchall()
    assert found == [(4,), (3,), (1,)]
