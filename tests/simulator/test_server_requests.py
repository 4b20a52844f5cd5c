"""What a websocket client may ask for, what it may not, and what happens to one that breaks the rules."""

import json
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from core.timeframes import MINUTE
from simulator.exchange import Rules, Tolerance

sys.path.insert(0, str(Path(__file__).parent))
from served import asked, invented_hour, rest_of, served

PATIENT = Rules(spot=Tolerance(1000, 20, 60, 6000))


@pytest.fixture(scope="module")
def tape():
    return invented_hour()


@pytest.fixture(scope="module")
def market(tape):
    with served(tape, tape.start + 10 * MINUTE, rules=PATIENT) as running:
        yield running


def under(tape, send_buffer=0, **rules):
    return served(tape, tape.start + 10 * MINUTE, rules=replace(PATIENT, **rules), send_buffer=send_buffer)


def closed_with(websocket) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        read_on(websocket)
    return closed.value.rcvd.code if closed.value.rcvd else None


def read_on(websocket) -> None:
    while True:
        websocket.recv(timeout=10)


def raw(market, path: str) -> socket.socket:
    """Open a websocket that answers nothing by itself."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    one.settimeout(10)
    one.connect(("127.0.0.1", market.port))
    one.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += one.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return one


def end_of(one: socket.socket) -> str:
    try:
        while one.recv(65_536):
            pass
    except ConnectionError:
        return "cut"
    return "closed"


def test_streams_are_listed_added_and_taken_out(market):
    with market.websocket("/ws/btcusdt@trade") as websocket:
        asked(websocket, "SUBSCRIBE", "btcusdt@aggTrade", "nosuch@trade", number="b")
        assert asked(websocket, "LIST_SUBSCRIPTIONS", number=2)["result"] == [
            "btcusdt@trade",
            "btcusdt@aggTrade",
            "nosuch@trade",
        ]
        assert asked(websocket, "UNSUBSCRIBE", "btcusdt@trade", "never@there", number=None) == {
            "result": None,
            "id": None,
        }
        assert asked(websocket, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@aggTrade", "nosuch@trade"]
        market.advance(30)
        events = {json.loads(frame)["e"] for frame in rest_of(websocket)}
    assert events == {"aggTrade"}


def test_frames_are_wrapped_as_the_client_wants(market):
    with market.websocket("/ws/btcusdt@trade") as websocket:
        assert asked(websocket, "GET_PROPERTY", "combined")["result"] is False
        market.advance(20)
        bare = [json.loads(frame) for frame in rest_of(websocket)]
        assert asked(websocket, "SET_PROPERTY", "combined", True)["result"] is None
        market.advance(20)
        wrapped = [json.loads(frame) for frame in rest_of(websocket)]
        assert asked(websocket, "GET_PROPERTY", "combined")["result"] is True
    assert {frame["e"] for frame in bare} == {"trade"}
    assert {frame["stream"] for frame in wrapped} == {"btcusdt@trade"}
    assert [frame["t"] for frame in bare + [one["data"] for one in wrapped]] == list(
        range(bare[0]["t"], wrapped[-1]["data"]["t"] + 1)
    )


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ("{", 3, "Invalid JSON"),
        ('{"a":\ud83d}'.encode("utf-8", "surrogatepass"), 3, "Invalid JSON"),
        ("[]", 2, "Invalid request"),
        ("1", 2, "Invalid request"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"DANCE","id":1}', 2, "unknown variant `DANCE`"),
        ('{"method":5,"id":1}', 2, "unknown variant"),
        ('{"method":["SUBSCRIBE"],"id":1}', 2, "unknown variant"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":-1}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1.5}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":[1]}', 2, "request ID must be an unsigned integer"),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2, "params"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "params"),
        ('{"method":"SUBSCRIBE","id":1}', 2, "params"),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":1}', 1, "Invalid value type: expected Boolean"),
        ('{"method":"SET_PROPERTY","params":["other",true],"id":1}', 0, "Unknown property"),
        ('{"method":"GET_PROPERTY","params":[1],"id":1}', 2, "property name must be a string"),
        ('{"method":"GET_PROPERTY","params":["combined",true],"id":1}', 2, "too many parameters"),
    ],
)
def test_a_bad_request_is_answered_and_changes_nothing(market, message, code, words):
    with market.websocket("/ws/btcusdt@trade") as websocket:
        websocket.send(message)
        answer = json.loads(websocket.recv(timeout=10))
        assert answer["code"] == code
        assert words in answer["msg"]
        assert asked(websocket, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@trade"]


def test_too_many_streams_are_refused(tape):
    with under(tape, streams=2) as market:
        with market.websocket("/ws/btcusdt@trade/btcusdt@aggTrade") as websocket:
            answer = asked(websocket, "SUBSCRIBE", "btcusdt@bookTicker")
            assert (answer["code"], answer["id"]) == (2, 1)
            assert len(asked(websocket, "LIST_SUBSCRIPTIONS")["result"]) == 2
        with pytest.raises(InvalidStatus) as refused:
            market.websocket("/stream?streams=a@trade/b@trade/c@trade")
        assert refused.value.response.status_code == 400


@pytest.mark.parametrize("ping", [False, True])
def test_who_sends_too_many_messages_is_disconnected(tape, ping):
    with under(tape, spot=Tolerance(5, 20, 60, 6000)) as market, market.websocket("/ws") as websocket:
        for number in range(6):
            if ping:
                websocket.ping()
            else:
                websocket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        assert closed_with(websocket) == 1008


def test_too_many_attempts_to_connect_are_refused(tape):
    with under(tape, attempts=2) as market:
        for _ in range(2):
            market.websocket("/ws").close()
        with pytest.raises(InvalidStatus) as refused:
            market.websocket("/ws")
        assert refused.value.response.status_code == 429


def test_who_does_not_answer_a_ping_is_cut_and_who_does_stays(tape):
    with (
        under(tape, spot=Tolerance(1000, 0.1, 0.3, 6000)) as market,
        raw(market, "/ws") as mute,
        market.websocket("/ws", ping_interval=None) as answering,
    ):
        received = b""
        while part := mute.recv(4096):
            received += part
        assert received[0] == 0x89  # a ping
        time.sleep(0.5)
        assert asked(answering, "LIST_SUBSCRIPTIONS")["result"] == []


@pytest.mark.parametrize("path", ["/ws", "/stream"])
def test_the_end_of_a_lifetime_is_announced(tape, path):
    with under(tape, lifetime=0.6, notice=0.4) as market, market.websocket(path) as websocket:
        announced = json.loads(websocket.recv(timeout=10))
        assert closed_with(websocket) == 1001
    event = announced["data"] if path == "/stream" else announced
    assert event == {"e": "serverShutdown", "E": market.exchange.venue_now() // 1000}
    assert announced.get("stream", "!serverShutdown") == "!serverShutdown"


def test_who_does_not_read_is_cut_and_the_others_are_not(tape):
    with under(tape, send_buffer=16_384, unread=100_000) as market, raw(market, "/ws/btcusdt@trade") as mute:
        with market.websocket("/ws/btcusdt@trade") as reading:
            frames = []
            while not market.exchange.figures.cut:
                market.advance(6)
                market.sent_all()
                frames += rest_of(reading, quiet=0.01)
            assert asked(reading, "LIST_SUBSCRIPTIONS")["result"] == ["btcusdt@trade"]
            ids = [json.loads(frame)["t"] for frame in frames]
            assert ids == list(range(ids[0], ids[-1] + 1))
        assert end_of(mute) == "cut"
    assert market.exchange.figures.cut == 1


def eventually(true):
    until = time.monotonic() + 10
    while not true() and time.monotonic() < until:
        time.sleep(0.01)
    assert true()


def test_all_connections_are_dropped_on_request(market):
    with market.websocket("/ws") as one, market.websocket("/stream") as two:
        # The server counts a connection a moment after its client has been answered.
        eventually(lambda: market.exchange.figures.open == 2)
        market.client.post("/tidemill/disconnect")
        assert [closed_with(one), closed_with(two)] == [None, None]
    eventually(lambda: not market.exchange.figures.open)
    assert market.get("/tidemill/state")["health"]["figures"]["connections"] == 0
