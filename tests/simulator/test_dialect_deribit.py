"""The manners of Deribit: what is answered, what is left out, and what ends a session."""

import json
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from core.timeframes import MINUTE
from exchanges.deribit_symbols import split
from simulator.clock import MarketClock
from simulator.deribit.dialect import Deribit
from simulator.deribit.methods import METHODS
from simulator.dialect import Connection
from simulator.exchange import SimulatedExchange
from simulator.tapes.columns import ColumnsTape

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, served
from spoken import past, told

TRADES = "trades.ETH_USDT-PERPETUAL.100ms"
PAGE = "/api/v2/public/get_last_trades_by_instrument"


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


@pytest.fixture(scope="module")
def still(tape):
    """A market whose clock nobody moves."""
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


@pytest.fixture
def socket(market):
    with market.websocket("/ws/api/v2") as websocket:
        yield websocket


def called(websocket, method, number=7, **params):
    """Call a method and give its answer; notifications before it are passed over."""
    websocket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
    while True:
        answer = json.loads(websocket.recv(timeout=10))
        if "method" not in answer:
            return answer


def refused(market, path, **params):
    answer = market.client.get(path, params=params)
    assert answer.status_code == 400
    return answer.json()["error"]


def test_only_known_channels_are_accepted_and_the_others_left_out(market, socket):
    known = [TRADES, "quote.BTC_USDT", "chart.trades.SOL-PERPETUAL.1", "ticker.SOL-PERPETUAL.100ms"]
    wrong = ["trades.BTC_USDT.1s", "quote.NOPE", "chart.trades.BTC_USDT.7", "quotes.BTC_USDT", "", "trades", 5]
    answer = called(socket, "public/subscribe", channels=[*wrong[:3], *known, *wrong[3:]])
    assert (answer["id"], answer["result"], answer["testnet"]) == (7, known, False)
    assert answer["usIn"] <= market.exchange.venue_now()
    assert called(socket, "public/unsubscribe", channels=known[1:])["result"] == known[1:]
    market.advance(20)
    market.sent_all()
    assert {one["params"]["channel"] for one in told(socket) if one["method"] == "subscription"} == {TRADES}
    assert called(socket, "public/unsubscribe_all")["result"] == "ok"
    market.advance(20)
    market.sent_all()
    assert told(socket) == []


def test_trades_come_in_tenths_of_a_second_and_their_sequence_has_no_hole(market, socket):
    called(socket, "public/subscribe", channels=[TRADES])
    for _ in range(4):
        market.advance(10)
        market.sent_all()
    batches = [one["params"]["data"] for one in told(socket)]
    sequence = [row["trade_seq"] for rows in batches for row in rows]
    assert sequence == past(market, "simulated:ETH-USDT-PERP", 40).ids.tolist()
    assert all(later == earlier + 1 for earlier, later in pairwise(sequence))
    assert all(rows[0]["timestamp"] // 100 == rows[-1]["timestamp"] // 100 for rows in batches)
    assert max(map(len, batches)) > 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", -32700),
        ("[]", -32600),
        ('{"id":1,"method":5}', -32600),
        ('{"id":1,"method":"public/test","params":[1]}', -32600),
        ('{"id":1,"method":"public/nothing"}', -32601),
        ('{"id":1,"method":"public/subscribe","params":{}}', -32602),
        ('{"id":1,"method":"public/subscribe","params":{"channels":["trades.BTC_USDT.raw"]}}', 13778),
        ('{"id":1,"method":"public/set_heartbeat","params":{"interval":9}}', -32602),
    ],
)
def test_wrong_requests_are_refused_and_the_session_goes_on(socket, message, code):
    socket.send(message)
    assert json.loads(socket.recv(timeout=10))["error"]["code"] == code
    assert called(socket, "public/test")["result"]["version"]


def test_who_has_no_credits_is_told_so_and_cut(socket):
    answers = []
    with suppress(ConnectionClosed):
        for _ in range(100):
            socket.send(json.dumps({"id": 3, "method": "public/subscribe", "params": {"channels": [TRADES]}}))
            answers.append(json.loads(socket.recv(timeout=10)))
    assert answers[-1]["error"] == {"code": 10028, "message": "too_many_requests", "data": None}
    assert sum("result" in one for one in answers) >= 10
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=10)


def test_a_frame_that_is_too_big_ends_the_session(socket):
    socket.send(json.dumps({"id": 1, "method": "public/test", "params": {"x": "y" * 40_000}}))
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=10)
    assert closed.value.rcvd.code == 1009


def test_heartbeats_come_when_they_were_asked_for_and_must_be_answered(tape):
    market = Deribit(SimulatedExchange(tape, MarketClock(1.0, tape.start + MINUTE, monotonic=lambda: 0.0)))
    connection = Connection("1", "/ws/api/v2", 0.0, 0.0, 0.0)

    def heard(method, now, **params):
        connection.heard = now
        return market.heard(connection, json.dumps({"id": 1, "method": method, "params": params}))

    def beat(now):
        reaction = market.timer(connection, now)
        return [json.loads(frame)["params"]["type"] for frame in reaction.frames], reaction.close

    assert beat(100.0) == ([], None)
    assert json.loads(heard("public/set_heartbeat", 100.0, interval=10).frames[0])["result"] == "ok"
    assert beat(100.1) == ([], None)
    assert beat(110.2) == (["heartbeat", "test_request"], None)
    heard("public/test", 111.0)
    assert beat(119.0) == ([], None)
    assert beat(120.3) == (["heartbeat", "test_request"], None)
    # Anything else is no answer.
    heard("public/get_time", 121.0)
    assert beat(122.0) == ([], None)
    frames, close = beat(130.4)
    assert frames == []
    assert close is not None


def test_pages_of_trades_are_bounded_by_id_time_and_count(still):
    name = {"instrument_name": "BTC_USDT"}
    trades = past(still, "simulated:BTC-USDT", 20 * 60)
    ids, times = trades.ids.tolist(), (trades.ts // 1000).tolist()

    def page(path=PAGE, **params):
        result = still.get(path, **name, **params)["result"]
        return [row["trade_seq"] for row in result["trades"]], result["has_more"]

    assert page() == (ids[-1:-11:-1], True)
    assert page(count=3, sorting="asc") == (ids[:3], True)
    assert page(count=1000, sorting="asc", start_seq=ids[-500]) == (ids[-500:], False)
    assert page(count=5, sorting="asc", start_seq=ids[100], end_seq=ids[102]) == (ids[100:103], False)
    assert page(count=5, sorting="desc", end_seq=ids[102]) == (ids[102:97:-1], True)
    within = [number for number, ts in zip(ids, times, strict=True) if times[200] <= ts <= times[300]]
    bounds = {"start_timestamp": times[200], "end_timestamp": times[300], "count": 1000}
    assert page(f"{PAGE}_and_time", sorting="asc", **bounds) == (within, False)
    assert page(f"{PAGE}_and_time", **bounds) == (within[::-1], False)
    assert page(start_seq=ids[-1] + 1) == ([], False)


@pytest.mark.parametrize(
    ("path", "params", "param"),
    [
        (PAGE, {}, "instrument_name"),
        (PAGE, {"instrument_name": "BTC-PERPETUAL"}, "instrument_name"),
        (PAGE, {"instrument_name": "BTC_USDT", "count": 1001}, "count"),
        (PAGE, {"instrument_name": "BTC_USDT", "count": 0}, "count"),
        (PAGE, {"instrument_name": "BTC_USDT", "start_seq": "x"}, "start_seq"),
        (PAGE, {"instrument_name": "BTC_USDT", "sorting": "up"}, "sorting"),
        (f"{PAGE}_and_time", {"instrument_name": "BTC_USDT"}, "start_timestamp"),
        ("/api/v2/public/get_tradingview_chart_data", {"instrument_name": "BTC_USDT"}, "resolution"),
    ],
)
def test_wrong_parameters_are_named(still, path, params, param):
    error = refused(still, path, **params)
    assert (error["code"], error["data"]["param"]) == (-32602, param)


def test_a_chart_has_the_candles_of_both_ends_and_says_where_there_are_none(still):
    now = still.exchange.venue_now() // 60_000_000 * 60_000
    asked = {"instrument_name": "SOL-PERPETUAL", "resolution": "1"}
    chart = still.get(
        "/api/v2/public/get_tradingview_chart_data",
        **asked,
        start_timestamp=now - 240_000,
        end_timestamp=now - 60_000,
    )["result"]
    assert (chart["status"], chart["ticks"]) == ("ok", list(range(now - 240_000, now, 60_000)))
    empty = still.get("/api/v2/public/get_tradingview_chart_data", **asked, start_timestamp=0, end_timestamp=1)
    assert (empty["result"]["status"], empty["result"]["ticks"]) == ("no_data", [])


def test_who_asks_for_the_list_too_often_is_refused_for_a_while(market):
    listed = "/api/v2/public/get_instruments"
    answers = [market.client.get(listed) for _ in range(11)]
    assert [one.status_code for one in answers] == [*[200] * 10, 429]
    assert answers[-1].json()["error"]["code"] == 10028
    assert market.get("/api/v2/public/get_time")["result"] == market.exchange.venue_now() // 1000


@pytest.mark.parametrize(
    ("quote", "expiry", "name", "form"),
    [
        ("USDT", "20260327", "BTC_USDT-27MAR26", "linear"),
        ("USD", "20260605", "BTC-5JUN26", "reversed"),
        ("USD", "PERP", "BTC-PERPETUAL", "reversed"),
    ],
)
def test_futures_are_named_by_the_day_on_which_they_end_at_eight(tape, quote, expiry, name, form):
    bitcoin = replace(tape.instruments[0], quote=quote, expiry=expiry)
    trades = replace(tape.between(0, tape.start + MINUTE)[0], instrument=bitcoin.name)
    clock = MarketClock(1.0, tape.start + MINUTE, monotonic=lambda: 0.0)
    dialect = Deribit(SimulatedExchange(ColumnsTape([bitcoin], [trades]), clock))
    [listed] = json.loads(METHODS["public/get_instruments"](dialect, {"kind": "future"}))
    assert (listed["instrument_name"], listed["instrument_type"]) == (name, form)
    instrument = split(name)
    assert (instrument.quote, instrument.expiry) == (quote, expiry)
    ends = datetime.fromtimestamp(listed["expiration_timestamp"] / 1000, UTC)
    assert f"{ends:%Y%m%dT%H}" == f"{expiry if expiry != 'PERP' else '30000101'}T08"
