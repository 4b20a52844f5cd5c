"""The main job on real recorded market data."""

import sys
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from core.settings import Settings
from dataflows.replay import replay
from storage import lake, recordings
from storage.data_folder import DataFolder, lake_path
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

sys.path.insert(0, str(Path(__file__).parent))
from rows import everything

# Independent of our fold: DuckDB's own, over the stored trades, in exact decimals (8 + 8 digits behind the point).
_FOLD = """
WITH t AS (
    SELECT *, epoch_us(ts) // {micros} * {micros} AS bucket,
           price::DECIMAL(19, 8) AS p, size::DECIMAL(19, 8) AS s
    FROM lake.trades
)
SELECT bucket, first(price ORDER BY ts, trade_id), max(price), min(price), last(price ORDER BY ts, trade_id),
       sum(s)::DECIMAL(38, 18), sum(p * s)::DECIMAL(38, 18), sum(fills)::BIGINT,
       coalesce(sum(s) FILTER (side > 0), 0)::DECIMAL(38, 18)
FROM t GROUP BY bucket ORDER BY bucket"""
_CANDLES = """
SELECT epoch_us(start), open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume
FROM lake.candles WHERE timeframe = '{name}' AND trade_count > 0 ORDER BY start"""


@pytest.fixture(scope="module")
def bitcoin(sample):
    return [sample / "trades" / f"binance_spot_btcusdt_2024080{day}.ws.gz" for day in (8, 9)]


@pytest.fixture(scope="module")
def replayed(bitcoin, tmp_path_factory):
    settings = Settings(data=tmp_path_factory.mktemp("bitcoin") / "data")
    return settings, replay(settings, bitcoin, venue="binance")


def query(settings, text):
    folder = DataFolder(settings.data)
    with serve(settings, folder) as address:
        session = lake.connect(address, lake_path(settings, folder), read_only=True)
        try:
            return session.execute(text).fetchall()
        finally:
            session.close()


def test_every_trade_of_the_recordings_is_stored_and_no_id_is_missing(replayed):
    settings, summary = replayed
    assert (summary.stored, summary.open_gaps, summary.quarantined, summary.records) == (19_904, 0, 0, 99_574)
    (row,) = query(
        settings, "SELECT count(*), count(DISTINCT trade_id), min(trade_id), max(trade_id) FROM lake.trades"
    )
    assert row == (19_904, 19_904, 3_735_683_259, 3_735_703_162)


@pytest.mark.parametrize(("name", "micros"), [("1s", 1_000_000), ("1m", 60_000_000)])
def test_each_candle_equals_an_independent_fold_of_the_trades(replayed, name, micros):
    settings, _ = replayed
    ours = query(settings, _CANDLES.format(name=name))
    assert len(ours) > 10
    assert ours == query(settings, _FOLD.format(micros=micros))


def test_candles_lie_in_the_minute_of_the_venue_not_of_the_slow_local_clock(replayed):
    settings, _ = replayed
    # The first file ends before local midnight and holds trades of the next day.
    (row,) = query(
        settings,
        "SELECT count(*), max(ts) FILTER (received < '2024-08-09 00:00:00+00') > '2024-08-09 00:00:01+00' "
        "FROM lake.trades WHERE ts >= '2024-08-09 00:00:00+00' AND ts < '2024-08-09 00:01:00+00'",
    )
    (candle,) = query(
        settings,
        "SELECT trade_count FROM lake.candles WHERE timeframe = '1m' AND start = '2024-08-09 00:00:00+00'",
    )
    assert row == (candle[0], True)


def test_all_minutes_but_the_first_and_the_last_are_complete(replayed):
    settings, _ = replayed
    rows = query(settings, "SELECT complete FROM lake.candles WHERE timeframe = '1m' ORDER BY start")
    assert [complete for (complete,) in rows] == [False, *[True] * 10, False]


def test_the_last_quote_of_each_second_is_stored(replayed, bitcoin):
    settings, summary = replayed
    assert (summary.quotes, summary.mark_prices, summary.venue_candles) == (651, 0, 0)
    last = {}
    for record in recordings.frames(bitcoin):
        if b"@bookTicker" in record.payload:
            last[record.received_at // 1_000_000] = (record.received_at, msgspec.json.decode(record.payload)["data"])
    rows = query(
        settings,
        "SELECT epoch_us(received), ts = received, id, bid, bid_size, ask, ask_size FROM lake.quotes ORDER BY ts",
    )
    assert rows == [
        (received, True, told["u"], *(float(told[name]) for name in "bBaA")) for received, told in last.values()
    ]
    assert len(rows) == 651
    assert all(row[3] < row[5] for row in rows)
    assert all(a[0] < b[0] and a[2] < b[2] for a, b in pairwise(rows))


def test_a_second_replay_and_the_other_order_change_nothing(replayed, bitcoin):
    settings, _ = replayed
    before = everything(settings)
    again = replay(settings, bitcoin, venue="binance")
    backwards = replay(settings, bitcoin[::-1], venue="binance")
    assert (again.stored, again.duplicates, again.candles, again.quotes, again.revised) == (0, 19_904, 0, 0, 0)
    assert (backwards.stored, backwards.candles, backwards.revised) == (0, 0, 0)
    assert everything(settings) == before


def test_files_one_by_one_in_the_wrong_order_give_the_same_rows(replayed, bitcoin, tmp_path):
    settings, _ = replayed
    other = Settings(data=tmp_path / "data")
    for file in bitcoin[::-1]:
        replay(other, [file], venue="binance")
    expected, found = everything(settings), everything(other)
    # The older day came late: its candles are revisions, in everything else they are the same.
    for name in ("trades", "latest", "quotes", "gaps", "coverage", "dirty", "twice"):
        assert found[name] == expected[name], name


def test_every_hole_of_the_litecoin_capture_is_a_gap_and_only_its_candles_are_incomplete(sample, tmp_path):
    settings = Settings(data=tmp_path / "data")
    file = sample / "trades" / "binance_spot_ltcusdt_20250621_trades.parquet"
    summary = replay(settings, [file], instrument="binance:LTC-USDT")
    assert summary.stored == 53_325
    ids = query(settings, "SELECT trade_id, epoch_us(ts) FROM lake.trades ORDER BY trade_id")
    holes = [(a, b) for a, b in pairwise(ids) if b[0] != a[0] + 1]
    with serve(settings, DataFolder(settings.data)) as address, Ledger(address) as ledger:
        gaps = ledger.gaps()
    assert [(g.first_id, g.last_id, g.after_ts, g.before_ts, g.missing) for g in gaps] == [
        (a[0] + 1, b[0] - 1, a[1], b[1], b[0] - a[0] - 1) for a, b in holes
    ]
    assert len(gaps) == 16
    first, last = ids[0][1], ids[-1][1]
    for name, micros in (("1s", 1_000_000), ("1m", 60_000_000)):
        rows = query(settings, f"SELECT epoch_us(start), complete FROM lake.candles WHERE timeframe = '{name}'")
        for start, complete in rows:
            end = start + micros
            whole = first < start and last >= end
            touched = any(a[1] < end and b[1] >= start for a, b in holes)
            assert complete == (whole and not touched), (name, start)
