"""What dialects answer to clients that ask for what there is not, or for too much."""

import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from core.timeframes import MINUTE
from simulator.okx import dialect as okx

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, rest_of, served

PUBLIC, BUSINESS = okx.PUBLIC, okx.BUSINESS


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


def answers(websocket, *messages):
    for message in messages:
        websocket.send(message if isinstance(message, str) else json.dumps(message))
    return [json.loads(frame) for frame in rest_of(websocket)]


def arg(channel, symbol="BTC-USDT"):
    return {"channel": channel, "instId": symbol}


def ended(websocket) -> tuple[int, str]:
    rest_of_it = iter(partial(websocket.recv, timeout=10), None)
    with pytest.raises(ConnectionClosed) as closed:
        list(rest_of_it)
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_okx_acknowledges_each_argument_and_refuses_the_bad_ones_alone(market):
    args = [arg("trades"), arg("trades", "NO-SUCH"), arg("candle1m"), arg("nothing"), arg("mark-price"), "text"]
    with market.websocket(PUBLIC) as websocket:
        told = answers(websocket, {"id": "7", "op": "subscribe", "args": args})
        assert [(one["event"], one.get("code")) for one in told] == [
            ("subscribe", None),
            ("error", "60018"),
            ("error", "64001"),
            ("error", "60018"),
            ("error", "60018"),
            ("error", "60018"),
        ]
        assert {one["id"] for one in told} == {"7"}
        assert told[0]["arg"] == arg("trades")
        assert "channel:trades,instId:NO-SUCH" in told[1]["msg"]
        market.advance(5)
        market.sent_all()
        assert {json.loads(frame)["arg"]["channel"] for frame in rest_of(websocket)} == {"trades"}
        [gone] = answers(websocket, {"op": "unsubscribe", "args": [arg("trades")]})
        assert (gone["event"], gone["arg"]) == ("unsubscribe", arg("trades"))
        market.advance(5)
        market.sent_all()
        assert rest_of(websocket) == []


def test_okx_wants_each_channel_at_its_own_address(market):
    with market.websocket(BUSINESS) as websocket:
        told = answers(websocket, {"op": "subscribe", "args": [arg("trades"), arg("trades-all"), arg("candle1D")]})
    assert [one.get("code") for one in told] == ["60018", None, "60018"]


@pytest.mark.parametrize(
    "message", ["{", '"ping"', "[]", '{"op":"go"}', '{"op":"subscribe"}', '{"op":[],"args":[1]}']
)
def test_okx_says_what_it_cannot_read(market, message):
    with market.websocket(PUBLIC) as websocket:
        [told] = answers(websocket, message)
        assert (told["event"], told["code"]) == ("error", "60012")
        websocket.send("ping")
        assert websocket.recv(timeout=10) == "pong"


def test_okx_closes_what_is_not_subscribed_or_quiet(market, monkeypatch):
    monkeypatch.setattr(okx, "_QUIET", 0.6)
    with market.websocket(PUBLIC) as quiet, market.websocket(PUBLIC) as bare, market.websocket(PUBLIC) as alive:
        answers(quiet, {"op": "subscribe", "args": [arg("trades")]})
        answers(alive, {"op": "subscribe", "args": [arg("trades")]})
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            alive.send("ping")
            if bare.protocol.close_code is None:
                bare.send("ping")
            time.sleep(0.1)
        assert ended(quiet) == ended(bare) == (4004, "No data received in 30s.")
        assert set(rest_of(alive)) == {b"pong"}


def test_okx_announces_an_upgrade_and_bears_only_so_many_requests(tape, monkeypatch):
    monkeypatch.setattr(okx, "_REQUESTS", 2)
    manners = replace(okx.MANNERS, lifetime=1.5, notice=0.7)
    with served(tape, dialects=[partial(okx.Okx, manners=manners)]) as market, market.websocket(PUBLIC) as websocket:
        ask = {"op": "subscribe", "args": [arg("trades")]}
        told = answers(websocket, ask, ask, ask)
        assert [one.get("code") for one in told] == [None, None, "60014"]
        notice = json.loads(websocket.recv(timeout=10))
        assert (notice["event"], notice["code"]) == ("notice", "64008")
        assert ended(websocket)[0] == 1001


def test_bybit_refuses_the_whole_request_for_one_bad_topic(market):
    with market.websocket("/v5/public/linear") as websocket:
        bad = ["publicTrade.ETHUSDT", "publicTrade.NOSUCH"]
        [told] = answers(websocket, {"req_id": "a", "op": "subscribe", "args": bad})
        assert (told["success"], told["req_id"], told["op"]) == (False, "a", "subscribe")
        assert "publicTrade.NOSUCH" in told["ret_msg"]
        market.advance(5)
        market.sent_all()
        assert rest_of(websocket) == []
        good = {"req_id": "b", "op": "subscribe", "args": bad[:1]}
        assert [one["success"] for one in answers(websocket, good, good)] == [True, False]
        market.advance(5)
        market.sent_all()
        assert rest_of(websocket)


@pytest.mark.parametrize(
    ("path", "args"),
    [
        ("/v5/public/spot", ["publicTrade.ETHUSDT"]),
        ("/v5/public/linear", ["publicTrade.BTCUSDT"]),
        ("/v5/public/inverse", ["kline.2.SOLUSD"]),
        ("/v5/public/spot", ["publicTrade.BTCUSDT"] * 11),
        ("/v5/public/spot", []),
        ("/v5/public/spot", "publicTrade.BTCUSDT"),
        ("/v5/public/spot", [None]),
        ("/v5/public/linear", ["a.b.c.d" * 4000]),
    ],
)
def test_bybit_knows_a_topic_in_its_category_only(market, path, args):
    with market.websocket(path) as websocket:
        [told] = answers(websocket, {"op": "subscribe", "args": args})
        assert told["success"] is False
        pong = answers(websocket, {"req_id": "1", "op": "ping"})[0]
        assert (pong["success"], pong["ret_msg"], pong["op"], pong["req_id"]) == (True, "pong", "ping", "1")


@pytest.mark.parametrize("message", ["{", "[]", '{"op":"go"}', '{"op":{}}'])
def test_bybit_says_what_it_cannot_read(market, message):
    with market.websocket("/v5/public/spot") as websocket:
        assert [one["success"] for one in answers(websocket, message)] == [False]


def test_okx_counts_each_path_and_bybit_all_of_them_and_then_bans(tape, monkeypatch):
    monkeypatch.setattr("simulator.okx.rest._PER", 600.0)
    monkeypatch.setattr("simulator.bybit.rest._PER", 600.0)
    with served(tape) as market:
        statuses = [market.client.get("/api/v5/public/time").status_code for _ in range(11)]
        assert statuses == [200] * 10 + [429]
        assert market.client.get("/api/v5/market/trades", params={"instId": "BTC-USDT"}).status_code == 200
        assert market.client.get("/api/v5/public/time").json()["code"] == "50011"
    monkeypatch.setattr("simulator.bybit.rest._REQUESTS", 3)
    with served(tape) as market:
        statuses = [market.client.get("/v5/market/time").status_code for _ in range(3)]
        wanted = {"category": "spot", "symbol": "BTCUSDT"}
        assert statuses == [200] * 3
        assert market.client.get("/v5/market/recent-trade", params=wanted).status_code == 403
        market.advance(60)
        assert market.client.get("/v5/market/time").status_code == 403
        assert market.exchange.figures.refused == 2


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("/api/v5/public/instruments", {}, "50014"),
        ("/api/v5/public/instruments", {"instType": "SHOP"}, "51000"),
        ("/api/v5/public/instruments", {"instType": "SPOT", "instId": "NO-SUCH"}, "51001"),
        ("/api/v5/market/trades", {"instId": "NO-SUCH"}, "51001"),
        ("/api/v5/market/history-trades", {}, "50014"),
        ("/api/v5/market/candles", {"instId": "BTC-USDT", "bar": "1D"}, "51000"),
        ("/v5/market/recent-trade", {"category": "spot", "symbol": "NOSUCH"}, 10001),
        ("/v5/market/recent-trade", {"category": "option", "symbol": "BTCUSDT"}, 10001),
        ("/v5/market/kline", {"category": "spot", "symbol": "BTCUSDT", "interval": "7"}, 10001),
        ("/v5/market/instruments-info", {}, 10001),
    ],
)
def test_rest_refuses_what_there_is_not(market, path, params, code):
    told = market.client.get(path, params=params).json()
    assert told.get("code", told.get("retCode")) == code


def test_too_many_connections_are_denied(tape):
    manners = replace(okx.MANNERS, attempts=3, attempts_per=60, connections=2)
    with served(tape, dialects=[partial(okx.Okx, manners=manners)]) as market:
        with market.websocket(PUBLIC), market.websocket(PUBLIC), pytest.raises(InvalidStatus) as third:
            market.websocket(PUBLIC)
        with pytest.raises(InvalidStatus) as fourth:
            market.websocket(PUBLIC)
    assert {third.value.response.status_code, fourth.value.response.status_code} == {429}


def test_a_client_that_sends_too_much_is_closed(tape):
    manners = replace(okx.MANNERS, messages=5, messages_per=60)
    with served(tape, dialects=[partial(okx.Okx, manners=manners)]) as market, market.websocket(PUBLIC) as websocket:
        for _ in range(6):
            websocket.send("ping")
        assert ended(websocket)[0] == 1008
