from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.candles import CANDLES_SCHEMA, Candle
from core.errors import IntegrityError, UnknownName
from core.timeframes import DAY, MINUTE, TIMEFRAMES
from core.trades import TRADES_SCHEMA, TradeBatch
from storage import lake
from storage.lake import reader

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
BTC, ETH, DUO = "binance:BTC-USDT", "binance:ETH-USDT", "binance:DUO-USDT"


@pytest.fixture(scope="module")
def connection(fresh_lake, tmp_path_factory):
    connection = lake.connect(fresh_lake(), str(tmp_path_factory.mktemp("read")), read_only=False)
    fill(lake.LakeWriter(connection, "p0"))
    yield connection
    connection.close()


def fill(writer):
    trades = [
        of(BTC, "trade", [3, 1, 2], [T + 5, T, T + 5]),
        of(BTC, "trade", [4, 5], [T + DAY - 1, T + DAY]),
        of(ETH, "aggregate", [1, 2], [T, T + 2 * DAY]),
        of(DUO, "trade", [1], [T]),
        of(DUO, "aggregate", [1], [T]),
    ]
    # Minutes 0 to 9, then a day later 0 to 4: between them nothing.
    starts = [T + n * MINUTE for n in range(10)] + [T + DAY + n * MINUTE for n in range(5)]
    writer.commit([t.to_arrow() for t in trades], [arrow([minute(s) for s in starts])], {"f": 0})
    writer.revise([arrow([minute(T + 3 * MINUTE, 1), minute(T + DAY + 9 * MINUTE, 1)])])
    writer.revise([arrow([minute(T + 3 * MINUTE, 2)])])


def of(instrument, id_space, ids, ts):
    n = len(ids)
    one = np.ones(n)
    return TradeBatch(
        instrument,
        id_space,
        np.array(ids),
        np.array(ts),
        np.array(ts),
        one / 3,
        one / 7,
        one.astype(np.int8),
        one.astype(np.int32),
        np.full(n, -1),
    )


def minute(start, revision=0):
    price = 100.0 + (start - T) // MINUTE
    return Candle(
        BTC, "1m", start, price, price + 1, price - 1, price, Decimal(1), Decimal(2), 3, Decimal(1), True, revision
    )


def arrow(candles):
    columns = {name: [getattr(c, name) for c in candles] for name in CANDLES_SCHEMA.names}
    columns["start"] = pa.array(columns["start"], pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_pydict(columns, CANDLES_SCHEMA)


def ids(batch):
    return None if batch is None else batch.ids.tolist()


def test_trades_are_half_open_and_in_order(connection):
    assert ids(lake.trades(connection, BTC, T, T + DAY)) == [1, 2, 3, 4]
    assert ids(lake.trades(connection, BTC, T, T + DAY + 1)) == [1, 2, 3, 4, 5]
    assert ids(lake.trades(connection, BTC, T + 1, T + 5)) is None
    assert ids(lake.trades(connection, BTC, T + 5, T + 6)) == [2, 3]
    assert lake.trades(connection, "okx:BTC-USDT'; DROP TABLE lake.trades; --", T, T + DAY) is None


def test_two_id_spaces_are_never_mixed(connection):
    with pytest.raises(IntegrityError, match="aggregate and trade"):
        lake.trades(connection, DUO, T, T + DAY)
    assert lake.trades(connection, DUO, T, T + DAY, "aggregate").id_space == "aggregate"


def test_the_stream_gives_each_row_once_and_batches_of_one_instrument(connection):
    batches = list(lake.trade_batches(connection, None, T, T + 3 * DAY))
    assert all(batch.schema.equals(TRADES_SCHEMA) for batch in batches)
    found = [(b.instrument, b.id_space, b.ids.tolist()) for b in map(TradeBatch.from_arrow, batches)]
    assert found == [
        (BTC, "trade", [1, 2, 3, 4]),
        (DUO, "aggregate", [1]),
        (DUO, "trade", [1]),
        (ETH, "aggregate", [1]),
        (BTC, "trade", [5]),
        (ETH, "aggregate", [2]),
    ]
    assert [TradeBatch.from_arrow(b).ids.tolist() for b in lake.trade_batches(connection, BTC, T + 5, T + DAY)] == [
        [2, 3, 4]
    ]
    assert list(lake.trade_batches(connection, BTC, T + 3 * DAY, T + 4 * DAY)) == []


def test_others_may_ask_between_two_batches(connection):
    stream = lake.trade_batches(connection, None, T, T + 3 * DAY)
    next(stream)
    assert connection.execute("SELECT 1").fetchall() == [(1,)]
    assert len(list(stream)) == 5


def test_history_is_the_last_candles_before_a_time(connection):
    def starts(timeframe, before, count):
        return [(c.start - T) // MINUTE for c in lake.history(connection, BTC, timeframe, before, count)]

    day = DAY // MINUTE
    assert starts("1m", T + 5 * MINUTE, 3) == [2, 3, 4]
    assert starts("1m", T + 5 * MINUTE + 1, 3) == [3, 4, 5]
    assert starts("1m", T + DAY + 2 * MINUTE, 4) == [8, 9, day, day + 1]
    assert starts("5m", T + DAY + 5 * MINUTE, 2) == [5, day]
    assert starts("5m", T + 2 * DAY, 10) == [0, 5, day, day + 5]
    assert starts("1h", T, 5) == []
    assert starts("1m", T + DAY, 0) == []
    assert lake.history(connection, "okx:BTC-USDT", "1h", T + DAY, 5) == []
    known = reader.instruments(connection)
    assert BTC in known
    assert "okx:BTC-USDT" not in known
    with pytest.raises(UnknownName, match="did you mean '5m'"):
        lake.history(connection, BTC, "5min", T, 1)


@pytest.mark.parametrize("name", TIMEFRAMES)
def test_history_of_every_timeframe_ends_the_list_of_all_candles(connection, name):
    every = lake.latest_candles(connection, BTC, name, 0, T + 400 * DAY)
    assert lake.history(connection, BTC, name, T + 400 * DAY, 1000) == every
    assert lake.history(connection, BTC, name, T + 400 * DAY, 1) == every[-1:]
    if len(every) > 1:
        assert lake.history(connection, BTC, name, every[-1].start, 1) == every[-2:-1]


def test_each_candle_is_there_in_its_latest_revision(connection):
    revisions = {c.start: c.revision for c in lake.latest_candles(connection, BTC, "1m", 0, T + 400 * DAY)}
    assert len(revisions) == 16
    assert {s: r for s, r in revisions.items() if r} == {T + 3 * MINUTE: 2, T + DAY + 9 * MINUTE: 1}
    (half,) = lake.latest_candles(connection, BTC, "5m", T, T + 5 * MINUTE)
    assert (half.revision, half.trade_count, half.open, half.close) == (2, 15, 100.0, 104.0)


def test_the_last_authored_minute_is_of_revision_zero(connection):
    assert lake.last_authored(connection, [BTC, ETH]) == {BTC: T + DAY + 4 * MINUTE}
    assert lake.last_authored(connection, []) == {}


@pytest.mark.sample
def test_recorded_trades_come_back_as_they_were(connection, sample):
    rows = pq.read_table(sample / "trades/binance_spot_ltcusdt_20250621_trades.parquet")
    ts = np.asarray(rows.column("timestamp")) * 1000
    ids, price, size = (np.asarray(rows.column(name)) for name in ("tradeId", "price", "quantity"))
    written = replace(of("binance:REC-USDT", "trade", ids, ts), price=price, size=size)
    lake.LakeWriter(connection, "recorded").add_trades([written.to_arrow()])
    read = lake.trades(connection, "binance:REC-USDT", int(ts.min()), int(ts.max()) + 1)
    for left, right in zip(read.columns(), written.in_event_order().columns(), strict=True):
        assert left.tobytes() == right.tobytes()
