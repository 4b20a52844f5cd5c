"""What REST answers, and what venues list, while a fault lasts: seen by bare clients of three dialects."""

import json
import sys
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from core.timeframes import MINUTE

sys.path.insert(0, str(Path(__file__).parent))
from breaking import BINANCE, BYBIT, OKX, THREE, clear, entry, listening, play
from served import every_kind_hour, rest_of, served


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


@pytest.mark.parametrize("status", [200, 403])
def test_pages_of_html_are_answered(market, status):
    play(market, {"fault": "html", "status": status})
    for spoken in THREE:
        answer = market.client.get(spoken.time)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert answer.text.startswith("<!DOCTYPE html>")
    assert entry(market)["requests"] == 3
    clear(market)
    assert all(market.client.get(one.time).status_code == 200 for one in THREE)


@pytest.mark.parametrize(("status", "after"), [(429, 3), (418, 60), (403, None), (503, None)])
def test_statuses_are_answered_for_a_time_on_some_paths(market, status, after):
    more = {} if after is None else {"retry_after": after}
    step = {"fault": "status", "status": status, "for": 0.3, "paths": ["*/trades", "*/recent-trade"], **more}
    play(market, {**step, "dialects": ["okx", "binance"]})
    for spoken in (OKX, BINANCE):
        answer = market.client.get(spoken.rest, params=spoken.params)
        assert (answer.status_code, answer.headers.get("retry-after")) == (
            status,
            None if after is None else str(after),
        )
        assert market.client.get(spoken.time).status_code == 200
    assert market.client.get(BYBIT.rest, params=BYBIT.params).status_code == 200
    time.sleep(0.4)
    assert market.client.get(OKX.rest, params=OKX.params).status_code == 200
    assert entry(market)["ended"] is not None


def test_answers_take_their_time(market):
    play(market, {"fault": "slow_rest", "delay": 0.4, "dialects": ["binance"]})
    begun = time.monotonic()
    assert market.client.get(BINANCE.time).status_code == 200
    assert time.monotonic() - begun >= 0.4
    assert entry(market)["requests"] == 1


@pytest.mark.parametrize("ms", [5000, -5000])
def test_the_venues_clock_is_wrong_and_the_times_of_trades_are_right(market, ms):
    now = market.exchange.venue_now() // 1000

    def told():
        paths = ("/api/v2/public/get_time", "/api/v2/public/time", "/fapi/v1/time")
        deribit, bitget, usdm = (market.get(path) for path in paths)
        others = [deribit["result"], int(bitget["data"]["serverTime"]), usdm["serverTime"]]
        return [one.time_of(market.get(one.time)) for one in THREE] + others

    assert told() == [now] * 6
    trades = market.get(BINANCE.rest, **BINANCE.params)
    play(market, {"fault": "clock_skew", "ms": ms})
    assert told() == [now + ms] * 6
    date = parsedate_to_datetime(market.client.get("/v1/market/all").headers["date"])
    assert int(date.timestamp()) == (now + ms) // 1000
    assert market.get(BINANCE.rest, **BINANCE.params) == trades
    with listening(market, BINANCE) as client:
        frames = [json.loads(frame)["data"] for frame in client.heard(1, steps=1)]
        assert {frame["E"] for frame in frames} == {now + 1000 + ms}
        assert all(now <= frame["T"] <= now + 1000 for frame in frames)
    clear(market)
    assert told() == [now + 1000] * 6


def listed(market):
    """The spot instruments that each of three venues lists."""
    okx = {one["instId"] for one in market.get("/api/v5/public/instruments", instType="SPOT")["data"]}
    bybit = {one["symbol"] for one in market.get("/v5/market/instruments-info", category="spot")["result"]["list"]}
    binance = {one["symbol"] for one in market.get("/api/v3/exchangeInfo")["symbols"]}
    return okx, bybit, binance


def refusals(market):
    """What three venues say where they are asked for the spot market's trades: their codes of success and failure."""
    okx = market.client.get(OKX.rest, params=OKX.params).json()["code"]
    bybit = market.client.get(BYBIT.rest, params=BYBIT.params).json()["retCode"]
    binance = market.client.get(BINANCE.rest, params=BINANCE.params)
    return okx, bybit, binance.status_code


def test_a_delisted_instrument_is_gone_everywhere_and_comes_back(market):
    whole = listed(market)
    with listening(market, OKX) as okx, listening(market, BINANCE) as binance:
        play(market, {"fault": "delist", "instruments": ["BTC-USDT"]})
        assert [okx.rows(), binance.rows()] == [[], []]
        assert listed(market) == (set(), set(), set())
        assert refusals(market) == ("51001", 10001, 400)
        with market.websocket(OKX.path) as late:
            late.send(OKX.subscribe)
            assert json.loads(late.recv(timeout=10))["event"] == "error"
        assert "simulated:BTC-USDT" in market.get("/tidemill/state")["last_ids"]
        clear(market)
        assert listed(market) == whole
        assert refusals(market) == ("0", 0, 200)
        assert okx.rows()


def test_one_that_is_listened_to_is_delisted_where_none_is_named(market):
    with market.websocket("/stream?streams=ethusdt@trade"), listening(market, OKX):
        play(market, {"fault": "delist", "dialects": ["okx"]})
        assert entry(market)["instruments"].keys() == {"okx:BTC-USDT"}
        assert listed(market)[0] == set()
        assert listed(market)[2] == {"BTCUSDT"}


def test_one_topic_of_a_batch_is_refused_and_the_others_are_not(market):
    args = [{"channel": "trades-all", "instId": name} for name in ("ETH-USDT-SWAP", "BTC-USDT", "SOL-USD-SWAP")]
    play(market, {"fault": "bad_topic", "instruments": ["BTC-USDT"]})
    with market.websocket(OKX.path) as okx, market.websocket("/market/stream") as usdm:
        okx.send(json.dumps({"op": "subscribe", "args": args}))
        events = [json.loads(okx.recv(timeout=10))["event"] for _ in args]
        assert events == ["subscribe", "error", "subscribe"]
        usdm.send('{"method":"SUBSCRIBE","params":["ethusdt@aggTrade"],"id":1}')
        assert json.loads(usdm.recv(timeout=10)) == {"result": None, "id": 1}
        market.advance(2)
        market.sent_all()
        assert {json.loads(frame)["arg"]["instId"] for frame in rest_of(okx)} == {"ETH-USDT-SWAP", "SOL-USD-SWAP"}
        assert rest_of(usdm)
    with market.websocket(BYBIT.path) as bybit:
        # Here one bad topic spoils all of them.
        bybit.send(BYBIT.subscribe)
        assert json.loads(bybit.recv(timeout=10))["success"] is False
    with market.websocket(BINANCE.path) as binance:
        # Binance acknowledges what it does not know.
        market.advance(2)
        market.sent_all()
        assert rest_of(binance) == []
    assert refusals(market) == ("0", 0, 200)
    clear(market)
    with listening(market, BYBIT) as client:
        assert client.rows()


def test_contracts_of_another_size_are_listed(market):
    def contracts():
        okx = market.get("/api/v5/public/instruments", instType="SWAP", instId="ETH-USDT-SWAP")["data"][0]
        usdm = market.get("/fapi/v1/exchangeInfo")["symbols"][0]["filters"][0]["tickSize"]
        return float(okx["ctVal"]), float(okx["tickSz"]), float(okx["lotSz"]), float(usdm)

    before = contracts()
    play(market, {"fault": "contract_size", "multiplier": 10, "tick": 100, "lot": 2})
    factors = [after / was for after, was in zip(contracts(), before, strict=True)]
    assert factors == pytest.approx([10, 100, 2, 100])
    with market.websocket("/market/stream?streams=ethusdt@aggTrade") as websocket:
        market.advance(2)
        market.sent_all()
        assert rest_of(websocket)
    clear(market)
    assert contracts() == before
