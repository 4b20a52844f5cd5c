"""What happens to connections while a fault lasts, seen by bare clients."""

import json
import sys
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from core.timeframes import MINUTE

sys.path.insert(0, str(Path(__file__).parent))
from breaking import BINANCE, OKX, THREE, clear, entry, listening, play, until
from served import every_kind_hour, rest_of, served


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


@pytest.fixture(params=THREE, ids=lambda one: one.name)
def client(request, market):
    with listening(market, request.param) as one:
        one.heard(1)
        yield one


def closed(websocket):
    """Read until the connection is closed; give what the close frame said (None: there was none), and the frames."""
    frames = []
    while True:
        try:
            frames.append(websocket.recv(timeout=10))
        except ConnectionClosed as error:
            return (None if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)), frames


@pytest.mark.parametrize(
    ("how", "said"), [({"how": "reset"}, None), ({"how": "close", "code": 1013, "reason": "later"}, (1013, "later"))]
)
def test_all_websockets_are_cut_at_once(market, how, said):
    sockets = [market.websocket(one.path) for one in THREE]
    play(market, {"fault": "drop", **how})
    assert [closed(one)[0] for one in sockets] == [said] * 3
    assert len(entry(market)["connections"]) == 3
    until(lambda: market.get("/tidemill/state")["health"]["figures"]["connections"] == 0)


def test_a_websocket_is_cut_inside_a_frame(client):
    play(client.market, {"fault": "drop", "how": "mid_frame"})
    client.market.advance(3)
    said, frames = closed(client.socket)
    assert said is None
    told = [number for number, _ in client.spoken.read(frames)]
    client.market.sent_all()
    truth = client.past(3)
    assert told == truth[: len(told)]
    assert len(told) < len(truth)


def test_so_many_sockets_are_cut_as_the_step_says_and_the_seed_says_which(market):
    def opened(number):
        until(lambda: market.get("/tidemill/state")["health"]["figures"]["connections"] == number)

    def cut(seed):
        sockets = [market.websocket(BINANCE.path) for _ in range(6)]
        opened(6)
        play(market, {"fault": "drop", "sockets": 2}, seed=seed)
        opened(4)
        alive = [one.ping() for one in sockets if not gone(one)]
        assert all(one.wait(10) for one in alive)
        found = [number for number, one in enumerate(sockets) if gone(one)]
        for one in sockets:
            one.close()
        opened(0)
        return found

    def gone(websocket):
        try:
            websocket.recv(timeout=0.05)
        except TimeoutError:
            return False
        except ConnectionClosed:
            return True
        raise AssertionError("nothing moves here")

    first = cut(1)
    assert len(first) == 2
    assert cut(1) == first
    assert any(cut(seed) != first for seed in (2, 3, 4))


def test_half_open_sockets_answer_nothing(client):
    play(client.market, {"fault": "half_open"})
    client.socket.send("ping")
    pong = client.socket.ping()
    assert client.heard() == []
    assert not pong.wait(0.3)
    with listening(client.market, client.spoken) as other:
        assert other.rows()
    assert entry(client.market)["ended"] is None
    clear(client.market)
    assert client.rows()


def test_a_half_open_socket_that_is_given_up_is_the_end_of_it(client):
    play(client.market, {"fault": "half_open"})
    client.socket.close_timeout = 0.1
    client.socket.close()
    until(lambda: client.market.get("/tidemill/faults")["active"] == [])
    assert entry(client.market)["ended"] is not None


def test_half_open_sockets_may_answer_pings_and_new_ones_may_be_hit(client):
    play(client.market, {"fault": "half_open", "pongs": True, "opened": True})
    assert client.socket.ping().wait(10)
    assert client.heard() == []
    with listening(client.market, client.spoken) as other:
        assert other.heard() == []


def test_bytes_come_a_few_at_a_time_and_all_of_them_in_the_end(client):
    play(client.market, {"fault": "slow_drip", "rate": 2000})
    begun = time.monotonic()
    client.market.advance(2)
    client.market.sent_all()
    early = [client.socket.recv(timeout=20, decode=False)]
    assert len(early[0]) <= 2000 * (time.monotonic() - begun)
    clear(client.market)
    told = [number for number, _ in client.spoken.read(early + rest_of(client.socket))]
    assert told == client.past(2)
    assert client.rows()


def test_the_end_of_life_is_announced_where_the_venue_does_so(client):
    play(client.market, {"fault": "cut_24h", "notice": 0.2})
    said, frames = closed(client.socket)
    assert said is not None
    told = {
        "okx": lambda: json.loads(frames[0])["code"] == "64008",
        "bybit": lambda: frames == [],
        "binance": lambda: json.loads(frames[0])["data"]["e"] == "serverShutdown",
    }
    assert told[client.spoken.name]()


def test_the_end_of_life_may_come_without_a_word(client):
    play(client.market, {"fault": "cut_24h", "announced": False})
    said, frames = closed(client.socket)
    assert said is not None
    assert frames == []


@pytest.mark.parametrize("spoken", THREE, ids=lambda one: one.name)
def test_nobody_is_let_in(market, spoken):
    play(market, {"fault": "refuse_connect", "status": 429, "retry_after": 7, "dialects": [spoken.name]})
    with pytest.raises(InvalidStatus) as refused:
        market.websocket(spoken.path)
    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["retry-after"] == "7"
    assert entry(market)["denied"] == 1
    other = OKX if spoken is BINANCE else BINANCE
    market.websocket(other.path).close()
    clear(market)
    market.websocket(spoken.path).close()


def test_a_cut_below_all_frames_that_wait_leaves_no_connection_behind(client):
    play(client.market, {"fault": "slow_drip", "rate": 50}, {"fault": "drop", "at": 0.2})
    client.market.advance(1)
    assert closed(client.socket)[0] is None
    until(lambda: client.market.get("/tidemill/state")["health"]["figures"]["connections"] == 0)
    until(lambda: client.market.get("/tidemill/faults")["entries"][-1]["fault"] == "drop")
