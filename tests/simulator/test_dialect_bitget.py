"""The manners of Bitget v2: an answer to each argument, snapshots, pings, and pages of trades and candles."""

import json
import sys
from pathlib import Path

import pytest

from core.timeframes import MINUTE, SECOND
from simulator.bitget import frames
from simulator.bitget.dialect import Bitget
from simulator.clock import MarketClock
from simulator.dialect import Connection
from simulator.exchange import SimulatedExchange

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, rest_of, served
from spoken import past, told

SPOT = {"instType": "SPOT", "channel": "trade", "instId": "BTCUSDT"}
FUTURES = {"instType": "USDT-FUTURES", "channel": "ticker", "instId": "ETHUSDT"}
CANDLES = {"instType": "SPOT", "channel": "candle1m", "instId": "BTCUSDT"}
HISTORY = "/api/v2/spot/market/fills-history"


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
    with market.websocket("/v2/ws/public") as websocket:
        yield websocket


def asked(websocket, operation, *args):
    websocket.send(json.dumps({"op": operation, "args": list(args)}))
    return told(websocket)


def test_each_argument_is_answered_and_a_wrong_one_takes_no_other_down(market, socket):
    wrong = [
        {**SPOT, "instType": "sp"},
        {**SPOT, "instId": "ETHUSDT"},
        {**SPOT, "channel": "trades"},
        {"instType": "SPOT"},
        "x",
    ]
    messages = asked(socket, "subscribe", wrong[0], SPOT, *wrong[1:], FUTURES)
    events = [one for one in messages if "event" in one]
    assert [one["event"] for one in events] == ["error", "subscribe", *["error"] * 4, "subscribe"]
    assert [one["arg"] for one in events] == [wrong[0], SPOT, *wrong[1:], FUTURES]
    refused = [one for one in events if one["event"] == "error"]
    assert {one["code"] for one in refused} == {30001}
    assert refused[0]["msg"] == "instType:sp,channel:trade,instId:BTCUSDT doesn't exist"
    market.advance(20)
    market.sent_all()
    assert {one["arg"]["channel"] for one in told(socket)} == {"trade", "ticker"}
    assert asked(socket, "unsubscribe", SPOT) == [{"event": "unsubscribe", "arg": SPOT}]
    market.advance(20)
    market.sent_all()
    assert {one["arg"]["channel"] for one in told(socket)} == {"ticker"}


def test_a_subscription_begins_with_the_recent_trades_newest_first(market, socket):
    [_, snapshot] = asked(socket, "subscribe", SPOT)
    shown = frames.IDS.shown(past(market, "simulated:BTC-USDT", 600).ids).tolist()
    assert snapshot["action"] == "snapshot"
    assert [int(row["tradeId"]) for row in snapshot["data"]] == shown[:-51:-1]
    market.advance(5)
    market.sent_all()
    updates = told(socket)
    assert {one["action"] for one in updates} == {"update"}
    rows = [row for one in updates for row in reversed(one["data"])]
    streamed = frames.IDS.shown(past(market, "simulated:BTC-USDT", 5).ids).tolist()
    assert [int(row["tradeId"]) for row in rows] == streamed
    [_, again] = asked(socket, "subscribe", SPOT)
    assert again["action"] == "snapshot"
    assert [int(row["tradeId"]) for row in again["data"]][: len(rows)] == streamed[:-51:-1]


def test_candles_begin_with_those_before_oldest_first(market, socket):
    [_, snapshot] = asked(socket, "subscribe", CANDLES)
    starts = [int(row[0]) for row in snapshot["data"]]
    now = market.exchange.venue_now() // 1000
    assert starts == list(range(now // 60_000 * 60_000 - 20 * 60_000, now, 60_000))
    assert {len(row) for row in snapshot["data"]} == {8}
    market.advance(70)
    market.sent_all()
    updates = told(socket)
    assert {one["action"] for one in updates} == {"update"}
    assert {len(one["data"]) for one in updates} == {1}
    assert [int(one["data"][0][0]) for one in updates] == sorted(int(one["data"][0][0]) for one in updates)


def test_a_ping_is_a_text_and_so_is_its_answer(socket):
    socket.send("ping")
    assert rest_of(socket) == [b"pong"]


@pytest.mark.parametrize(
    ("message", "code"),
    [("{", 30002), ("[]", 30002), ('{"op":"subscribe"}', 30002), ('{"op":"login","args":[]}', 30003)],
)
def test_wrong_requests_are_refused_and_the_connection_goes_on(socket, message, code):
    socket.send(message)
    assert told(socket) == [{"event": "error", "code": code, "msg": told_words(code)}]
    socket.send("ping")
    assert rest_of(socket) == [b"pong"]


def told_words(code):
    return {30002: "Illegal request", 30003: "Invalid op"}[code]


def test_who_does_not_ping_for_two_minutes_is_cut(tape):
    market = Bitget(SimulatedExchange(tape, MarketClock(1.0, tape.start + MINUTE, monotonic=lambda: 0.0)))
    connection = Connection("1", "/v2/ws/public", 0.0, 0.0, 0.0)
    assert market.timer(connection, 119.0).close is None
    connection.heard = 119.5
    # A subscription is no ping.
    market.heard(connection, json.dumps({"op": "subscribe", "args": [SPOT]}))
    assert market.timer(connection, 120.5).close is not None
    market.heard(connection, "ping")
    assert market.timer(connection, 239.0).close is None
    assert market.timer(connection, 240.0).close is not None


def test_pages_of_trades_go_backwards_by_id_and_span(still):
    trades = past(still, "simulated:BTC-USDT", 30 * 60)
    ids, times = frames.IDS.shown(trades.ids).tolist(), (trades.ts // 1000).tolist()

    def page(**params):
        answer = still.get(HISTORY, symbol="BTCUSDT", **params)
        assert (answer["code"], answer["msg"]) == ("00000", "success")
        return [int(row["tradeId"]) for row in answer["data"]]

    assert page() == ids[:-501:-1]
    assert page(limit=3) == ids[:-4:-1]
    assert page(limit=3, idLessThan=ids[-10]) == ids[-11:-14:-1]
    assert page(limit=3, idLessThan=ids[-10] + 1) == ids[-10:-13:-1]
    assert page(idLessThan=ids[0]) == []
    within = [number for number, ts in zip(ids, times, strict=True) if times[50] <= ts <= times[60]]
    assert page(startTime=times[50], endTime=times[60]) == within[::-1]
    rows = still.get("/api/v2/spot/market/fills", symbol="BTCUSDT", limit=100)["data"]
    assert [int(row["tradeId"]) for row in rows] == ids[:-101:-1]
    assert {row["side"] for row in rows} == {"Buy", "Sell"}


def test_candles_end_before_their_time_and_are_as_many_as_asked_for(still):
    now = still.exchange.venue_now() // MINUTE * 60_000
    spot = {"symbol": "BTCUSDT", "granularity": "1min"}
    futures = {"symbol": "ETHUSDT", "granularity": "1m", "productType": "usdt-futures"}

    def starts(path, **params):
        return [int(row[0]) for row in still.get(f"/api/v2/{path}", **params)["data"]]

    last = [now - 180_000, now - 120_000]
    assert starts("spot/market/history-candles", **spot, endTime=now - 60_000, limit=2) == last
    assert starts("mix/market/history-candles", **futures, endTime=now - 60_000, limit=2) == last
    assert starts("spot/market/candles", **spot, startTime=now - 180_000, endTime=now - 60_000) == last
    assert len(starts("spot/market/candles", **spot)) == 21
    assert starts("spot/market/candles", symbol="BTCUSDT", granularity="1Dutc") == [now // 86_400_000 * 86_400_000]


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("spot/market/fills", {}, "40019"),
        ("spot/market/fills", {"symbol": "ETHUSDT"}, "40034"),
        ("spot/market/fills-history", {"symbol": "BTCUSDT", "idLessThan": "x"}, "40020"),
        ("spot/market/fills-history", {"symbol": "BTCUSDT", "startTime": 1, "endTime": 604_800_002}, "40020"),
        ("spot/market/history-candles", {"symbol": "BTCUSDT", "granularity": "1min"}, "40019"),
        ("spot/market/candles", {"symbol": "BTCUSDT", "granularity": "1m"}, "400171"),
        ("mix/market/fills", {"symbol": "ETHUSDT"}, "40019"),
        ("mix/market/fills", {"symbol": "ETHUSDT", "productType": "futures"}, "40020"),
        ("mix/market/fills", {"symbol": "ETHUSDT", "productType": "COIN-FUTURES"}, "40034"),
    ],
)
def test_wrong_requests_get_a_code(still, path, params, code):
    answer = still.client.get(f"/api/v2/{path}", params=params)
    assert (answer.status_code, answer.json()["code"], answer.json()["data"]) == (400, code, None)


def test_markets_of_other_kinds_are_none(still):
    contracts = "/api/v2/mix/market/contracts"
    assert still.get(contracts, productType="COIN-FUTURES")["data"] == []
    assert [one["symbol"] for one in still.get(contracts, productType="USDT-FUTURES")["data"]] == ["ETHUSDT"]
    assert [one["symbol"] for one in still.get("/api/v2/spot/public/symbols")["data"]] == ["BTCUSDT"]


def test_who_asks_too_often_is_refused(market):
    answers = [market.client.get(HISTORY, params={"symbol": "BTCUSDT", "limit": 1}) for _ in range(40)]
    codes = [one.status_code for one in answers]
    assert codes[:10] == [200] * 10
    assert answers[codes.index(429)].json()["code"] == "429"
