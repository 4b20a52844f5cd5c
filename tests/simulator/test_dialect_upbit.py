"""The manners of Upbit: subscriptions that replace each other without a word, pages within a day, growing blocks."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from core.instruments import Instrument
from core.timeframes import DAY, HOUR, MINUTE, SECOND
from core.trades import TradeBatch
from simulator.clock import MarketClock
from simulator.dialect import Connection
from simulator.exchange import SimulatedExchange
from simulator.tapes.columns import ColumnsTape
from simulator.upbit import frames
from simulator.upbit.dialect import Upbit
from simulator.upbit.patience import Group

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, rest_of, served
from spoken import past, told

TICKET = {"ticket": "a"}
TRADES = {"type": "trade", "codes": ["USDT-BTC"]}
BOOK = {"type": "orderbook", "codes": ["USDT-BTC.5"]}
CANDLE = {"type": "candle.1m", "codes": ["USDT-BTC"]}


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, tape.start + 20 * MINUTE + 7 * SECOND) as running:
        yield running


@pytest.fixture(scope="module")
def still(tape):
    """A market whose clock nobody moves."""
    with served(tape, tape.start + 20 * MINUTE + 7 * SECOND) as running:
        yield running


@pytest.fixture
def socket(market):
    with market.websocket("/websocket/v1") as websocket:
        yield websocket


def asked(websocket, *parts):
    websocket.send(json.dumps([TICKET, *parts]))
    return told(websocket)


def test_a_subscription_has_no_answer_but_data_and_replaces_the_one_before(market, socket):
    only_new = {"is_only_realtime": True}
    assert asked(socket, {**TRADES, **only_new}) == []
    snapshots = asked(socket, TRADES, BOOK, CANDLE)
    assert {(one["type"], one["stream_type"]) for one in snapshots} == {
        ("trade", "SNAPSHOT"),
        ("orderbook", "SNAPSHOT"),
        ("candle.1m", "SNAPSHOT"),
    }
    assert len(next(one for one in snapshots if one["type"] == "orderbook")["orderbook_units"]) == 5
    market.advance(10)
    market.sent_all()
    messages = told(socket)
    assert {one["type"] for one in messages} == {"trade", "orderbook", "candle.1m"}
    assert {one["stream_type"] for one in messages} == {"REALTIME"}
    asked(socket, {**BOOK, **only_new})
    market.advance(10)
    market.sent_all()
    assert {one["type"] for one in told(socket)} == {"orderbook"}


def test_snapshots_alone_and_markets_that_there_are_not(market, socket):
    wrong = {"type": "trade", "codes": ["KRW-BTC", "usdt-btc", "USDT-BTC"], "isOnlySnapshot": True}
    [snapshot] = asked(socket, wrong)
    assert (snapshot["code"], snapshot["stream_type"]) == ("USDT-BTC", "SNAPSHOT")
    market.advance(10)
    market.sent_all()
    assert told(socket) == []


def test_messages_are_binary_and_of_the_form_that_was_asked_for(market, socket):
    socket.send(json.dumps([TICKET, TRADES, {"format": "SIMPLE_LIST"}]))
    message = socket.recv(timeout=10)
    assert isinstance(message, bytes)
    [simple] = json.loads(message)
    last = past(market, "simulated:BTC-USDT", 60)
    assert (simple["ty"], simple["cd"], simple["st"]) == ("trade", "USDT-BTC", "SNAPSHOT")
    assert simple["sid"] == frames.IDS.shown(last.ids)[-1]
    assert (simple["tp"], simple["tv"]) == (last.price[-1], last.size[-1])
    assert simple["ab"] == ("BID" if last.side[-1] > 0 else "ASK")
    [full] = asked(socket, TRADES)
    assert list(full.values())[2:] == list(simple.values())[2:]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("x", "WRONG_FORMAT"),
        ("{}", "WRONG_FORMAT"),
        ("[]", "NO_TICKET"),
        ('[{"type":"trade","codes":["USDT-BTC"]}]', "NO_TICKET"),
        ('[{"ticket":"a"}]', "NO_TYPE"),
        ('[{"ticket":"a"},{"codes":["USDT-BTC"]}]', "NO_TYPE"),
        ('[{"ticket":"a"},{"type":"trade"}]', "NO_CODES"),
        ('[{"ticket":"a"},{"type":"trade","codes":[1]}]', "WRONG_FORMAT"),
        ('[{"ticket":"a"},{"type":"tick","codes":["USDT-BTC"]}]', "INVALID_PARAM"),
        ('[{"ticket":"a"},{"type":"trade","codes":["USDT-BTC"]},{"format":"XML"}]', "INVALID_PARAM"),
    ],
)
def test_wrong_requests_are_named(socket, message, name):
    socket.send(message)
    assert json.loads(socket.recv(timeout=10))["error"]["name"] == name


def test_what_was_subscribed_outlasts_a_wrong_request(market, socket):
    asked(socket, TRADES)
    socket.send("x")
    assert json.loads(socket.recv(timeout=10))["error"]["name"] == "WRONG_FORMAT"
    market.advance(5)
    market.sent_all()
    assert {one["type"] for one in told(socket)} == {"trade"}


def test_a_ping_is_answered_again_and_again_and_silence_ends_the_connection(market, socket, tape):
    socket.send("PING")
    assert rest_of(socket) == [b'{"status":"UP"}']
    dialect = Upbit(SimulatedExchange(tape, MarketClock(1.0, tape.start + MINUTE, monotonic=lambda: 0.0)))
    connection = Connection("1", "/websocket/v1", 0.0, 0.0, 0.0)
    assert dialect.timer(connection, 119.0).close is None
    assert dialect.timer(connection, 120.0).close is not None
    connection.heard = 119.0
    assert dialect.heard(connection, "PING").frames == (b'{"status":"UP"}',)
    assert dialect.timer(connection, 128.0).frames == ()
    assert [dialect.timer(connection, now).frames for now in (129.0, 130.0, 139.0)] == [
        (b'{"status":"UP"}',),
        (),
        (b'{"status":"UP"}',),
    ]


def test_ticks_are_those_of_one_day_before_cursor_and_time(tape):
    # Midnight passes ten minutes after the tape begins.
    shift = DAY - 10 * MINUTE
    with served(tape, tape.start + 20 * MINUTE, shift) as market:
        trades = past(market, "simulated:BTC-USDT", 20 * 60)
        ids, midnight = frames.IDS.shown(trades.ids).tolist(), market.exchange.venue_now() // DAY * DAY
        first = int(np.searchsorted(trades.ts, midnight))
        assert 0 < first < len(ids)

        def page(**params):
            return [row["sequential_id"] for row in market.get("/v1/trades/ticks", market="USDT-BTC", **params)]

        assert page() == ids[-1:]
        assert page(count=500) == ids[:-501:-1]
        assert page(count=3, cursor=ids[first + 2]) == [ids[first + 1], ids[first]]
        assert page(count=3, cursor=ids[first]) == []
        assert page(count=3, cursor=ids[first], days_ago=1) == ids[first - 1 : first - 4 : -1]
        assert page(count=2, days_ago=1) == [ids[first - 1], ids[first - 2]]
        assert page(count=2, days_ago=2) == []
        before = int(np.searchsorted(trades.ts, midnight + 5 * MINUTE))
        assert page(count=2, to="00:05:00") == page(count=2, to="000500") == [ids[before - 1], ids[before - 2]]


def test_minutes_without_trades_have_no_candle(tape):
    [bitcoin] = [one for one in tape.instruments if one.name == "simulated:BTC-USDT"]
    with served(quiet(bitcoin), tape.start + HOUR) as market:
        rows = market.get("/v1/candles/minutes/1", market="USDT-BTC", count=200)
        begin = np.datetime64(tape.start // SECOND, "s")
        starts = [str(begin + np.timedelta64(minute, "m")) for minute in (30, 29, 0)]
        assert [row["candle_date_time_utc"] for row in rows] == starts
        assert [row["trade_price"] for row in rows] == [103.0, 102.0, 101.0]
        to = {"to": f"{starts[0]}Z", "count": 1}
        assert market.get("/v1/candles/minutes/1", market="USDT-BTC", **to) == rows[1:2]
        [day] = market.get("/v1/candles/days", market="USDT-BTC", count=2)
        assert day["candle_acc_trade_volume"] == 3.0
        with market.websocket("/websocket/v1") as websocket:
            assert asked(websocket, CANDLE) == []
            market.advance(130)
            market.sent_all()
            assert told(websocket) == []


def quiet(bitcoin: Instrument) -> ColumnsTape:
    """One trade each in the minutes 0, 29, 30 and 120."""
    start = 1_736_121_600_000_000
    ts = start + np.array([0, 29, 30, 120], dtype=np.int64) * MINUTE + SECOND
    whole = np.arange(1, 5, dtype=np.int64)
    ones = np.ones(4)
    side, fills = np.ones(4, dtype=np.int8), np.ones(4, dtype=np.int32)
    trades = TradeBatch(bitcoin.name, "trade", whole, ts, ts, 100.0 + whole, ones, side, fills, whole)
    return ColumnsTape([bitcoin], [trades])


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("trades/ticks", {}, 400),
        ("trades/ticks", {"market": "KRW-BTC"}, 404),
        ("trades/ticks", {"market": "USDT-BTC", "count": 501}, 400),
        ("trades/ticks", {"market": "USDT-BTC", "count": "x"}, 400),
        ("trades/ticks", {"market": "USDT-BTC", "days_ago": 8}, 400),
        ("trades/ticks", {"market": "USDT-BTC", "days_ago": 0}, 400),
        ("trades/ticks", {"market": "USDT-BTC", "to": "250000"}, 400),
        ("candles/minutes/1", {"market": "USDT-BTC", "count": 201}, 400),
        ("candles/minutes/1", {"market": "USDT-BTC", "to": "soon"}, 400),
        ("candles/minutes/7", {"market": "USDT-BTC"}, 400),
        ("orderbook/instruments", {}, 400),
    ],
)
def test_wrong_parameters_are_refused(still, path, params, status):
    answer = still.client.get(f"/v1/{path}", params=params)
    assert (answer.status_code, answer.json()["error"]["name"]) == (status, status)


def test_what_is_left_is_told_and_who_goes_on_is_blocked(market):
    answers = [market.client.get("/v1/market/all") for _ in range(60)]
    codes = [one.status_code for one in answers]
    assert answers[0].headers["remaining-req"] == "group=market; min=1800; sec=9"
    assert codes[:10] == [200] * 10
    assert codes.index(429) < codes.index(418)
    assert answers[codes.index(418)].json()["error"]["name"] == 418
    assert market.client.get("/v1/trades/ticks", params={"market": "USDT-BTC"}).status_code == 200


def test_blocks_grow_and_are_forgotten():
    now = [100.0]
    group = Group("trade", 10, lambda: now[0])
    assert [group.refuse() for _ in range(11)] == [*[0.0] * 10, 2.0]
    now[0] = 103.0
    assert [group.refuse() for _ in range(11)] == [*[0.0] * 10, 4.0]
    now[0] = 200.0
    assert [group.refuse() for _ in range(11)] == [*[0.0] * 10, 2.0]
    now[0] = 300.0
    for _ in range(30):
        now[0] += 1.0
        assert group.refuse() == 0.0
