"""What the exchange refuses by REST, in Binance's words, and what it does to who asks too much."""

import sys
from pathlib import Path

import pytest

from core.errors import UserError
from core.timeframes import MINUTE
from simulator.binance.refusal import Refusal
from simulator.binance.weights import Weights
from simulator.clock import MarketClock
from simulator.exchange import Rules, SimulatedExchange, Tolerance

sys.path.insert(0, str(Path(__file__).parent))
from served import invented_hour, served


@pytest.fixture(scope="module")
def tape():
    return invented_hour()


@pytest.fixture(scope="module")
def market(tape):
    with served(tape, tape.start + 10 * MINUTE) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/api/v3/trades", 400, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("/api/v3/trades?symbol=", 400, -1105, "Parameter 'symbol' was empty."),
        ("/api/v3/trades?symbol=NOSUCH", 400, -1121, "Invalid symbol."),
        ("/api/v3/trades?symbol=ETHUSDT", 400, -1121, "Invalid symbol."),
        (
            "/api/v3/trades?symbol=btc%2F",
            400,
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        ),
        (
            "/api/v3/trades?symbol=BTCUSDT&limit=x",
            400,
            -1100,
            "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'.",
        ),
        ("/api/v3/trades?symbol=BTCUSDT&limit=0", 400, -1130, "Data sent for parameter 'limit' is not valid."),
        (
            "/api/v3/trades?symbol=BTCUSDT&more=1",
            400,
            -1104,
            "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
        ),
        ("/api/v3/trades?symbol=BTCUSDT&symbol=BTCUSDT", 400, -1101, None),
        ("/api/v3/klines?symbol=BTCUSDT", 400, -1102, None),
        ("/api/v3/klines?symbol=BTCUSDT&interval=2m", 400, -1120, "Invalid interval."),
        ("/fapi/v1/klines?symbol=ETHUSDT&interval=1s", 400, -1120, "Invalid interval."),
        (
            "/api/v3/aggTrades?symbol=BTCUSDT&fromId=1&startTime=1",
            400,
            -1128,
            "Combination of optional parameters invalid.",
        ),
        ("/api/v3/ticker/price?symbol=BTCUSDT&symbols=[]", 400, -1128, None),
        ("/api/v3/exchangeInfo?symbols=oops", 400, -1100, None),
        ("/fapi/v1/aggTrades?symbol=ETHUSDT&startTime=1&endTime=9999999", 400, -1127, None),
        ("/fapi/v1/aggTrades?symbol=ETHUSDT&limit=1001", 400, -1130, None),
        ("/fapi/v1/depth?symbol=ETHUSDT&limit=7", 400, -4021, None),
        ("/fapi/v1/historicalTrades?symbol=ETHUSDT", 401, -2014, "API-key format invalid."),
        ("/api/v3/trades?symbol=BTCUSDT&limit=99999999999999999999", 400, -1130, None),
        ("/api/v3/aggTrades?symbol=BTCUSDT&startTime=99999999999999999999", 400, -1130, None),
    ],
)
def test_refusals_are_the_venues(market, path, status, code, words):
    answer = market.client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    if words is not None:
        assert answer.json()["msg"] == words


def test_an_unknown_path_is_not_found(market):
    assert [market.client.get(path).status_code for path in ("/api/v3/nothing", "/fapi/v1/", "/x")] == [404] * 3


@pytest.mark.parametrize("value", [0, 1, 2**53, 2**62, 2**63 - 1])
def test_far_numbers_are_answered(market, value):
    for name in ("startTime", "endTime", "fromId"):
        for path in ("/api/v3/aggTrades", "/fapi/v1/aggTrades"):
            symbol = "BTCUSDT" if path.startswith("/api") else "ETHUSDT"
            assert market.client.get(path, params={"symbol": symbol, name: value}).status_code == 200
        if name != "fromId":
            params = {"symbol": "BTCUSDT", "interval": "1m", name: value}
            assert market.client.get("/api/v3/klines", params=params).status_code == 200


def test_spot_cuts_a_limit_that_is_too_large(market):
    assert len(market.get("/api/v3/trades", symbol="BTCUSDT", limit=5000)) == 1000


def test_weights_are_told_then_refused_then_banned(tape):
    rules = Rules(spot=Tolerance(5, 20, 60, weight=30), ban_after=2, ban=120)
    with served(tape, tape.start + MINUTE, rules=rules) as market:
        told = [market.client.get("/api/v3/time").headers["X-MBX-USED-WEIGHT-1M"] for _ in range(3)]
        answers = [market.client.get("/api/v3/trades?symbol=BTCUSDT") for _ in range(5)]
        assert market.client.get("/fapi/v1/time").status_code == 200
    assert told == ["1", "2", "3"]
    # Where a minute of the wall clock ends in between, there is more to spend.
    statuses = [answer.status_code for answer in answers]
    assert statuses in ([200, 429, 429, 418, 418], [200, 200, 429, 429, 418], [200, 429, 200, 429, 429])
    over = next(answer for answer in answers if answer.status_code == 429)
    assert over.json()["code"] == -1003
    assert 1 <= int(over.headers["Retry-After"]) <= 61


def test_a_ban_ends_and_a_minute_forgets():
    now = [60_000.0]
    weights = Weights(Rules(spot=Tolerance(5, 20, 60, weight=10), ban_after=1, ban=300), False, lambda: now[0])
    assert [weights.take("a", 5), weights.take("a", 5), weights.take("b", 5)] == [5, 10, 5]
    for status in (429, 418, 418):
        with pytest.raises(Refusal) as refusal:
            weights.take("a", 1)
        assert refusal.value.status == status
    now[0] += 60
    with pytest.raises(Refusal) as refusal:
        weights.take("a", 1)
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (418, "241")
    now[0] += 240
    assert weights.take("a", 1) == 1


def test_attempts_to_connect_come_back_with_time():
    now = [0.0]
    weights = Weights(Rules(attempts=2, attempts_per=300), False, lambda: now[0])
    assert [weights.connects("a") for _ in range(3)] == [True, True, False]
    assert weights.connects("b")
    now[0] = 300.0
    assert weights.connects("a")


def test_a_shift_by_less_than_a_minute_is_refused(tape):
    with pytest.raises(UserError, match="whole minutes"):
        SimulatedExchange(tape, MarketClock(1.0, tape.start, shift=30_000_000))


def test_the_controls_are_for_programs_of_this_machine(market):
    assert market.client.get("/tidemill/state", headers={"Origin": "http://example.org"}).status_code == 403
    assert market.client.post("/tidemill/seek", json={"time": 5}).status_code == 400
    assert market.client.post("/tidemill/speed", json={"speed": -1}).status_code == 400
    assert market.client.post("/tidemill/speed", content=b"{").status_code == 400
    assert market.client.get("/tidemill/pause").status_code == 405


def test_the_controls_move_the_clock(market):
    state = market.client.post("/tidemill/pause").json()
    assert state["paused"]
    assert state["health"]["state"] == "degraded"
    now = state["now"]
    market.advance(5)
    assert market.get("/tidemill/state")["now"] == now
    assert not market.client.post("/tidemill/resume").json()["paused"]
    market.client.post("/tidemill/speed", json={"speed": 10})
    market.advance(5)
    assert market.get("/tidemill/state")["now"] == now + 50_000_000
    assert market.client.post("/tidemill/seek", json={"time": now}).json()["now"] == now
    market.client.post("/tidemill/speed", json={"speed": 1})
