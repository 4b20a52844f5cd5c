"""What all dialects have in common: one way out, snapshots for who comes later, limits, cuts, seeks."""

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader
from websockets.sync.client import connect

from core.timeframes import MINUTE
from simulator.exchange import Rules
from simulator.framing import encoded
from simulator.interference import Undisturbed

sys.path.insert(0, str(Path(__file__).parent))
from served import SPOT, every_kind_hour, rest_of, served

PUBLIC, BUSINESS, BYBIT = "/ws/v5/public", "/ws/v5/business", "/v5/public/spot"


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


def subscribe(websocket, *channels, op="subscribe"):
    args = [{"channel": channel, "instId": "BTC-USDT"} for channel in channels]
    websocket.send(json.dumps({"op": op, "args": args}))
    return [json.loads(websocket.recv(timeout=10)) for _ in channels]


def data(frames):
    return [one for frame in frames if (one := json.loads(frame)).get("data")]


def ids(frames):
    return [int(row["tradeId"]) for one in data(frames) for row in one["data"]]


def past(market, seconds):
    end = market.exchange.clock.now()
    batches = market.exchange.tape.between(end - seconds * 1_000_000, end)
    return next(batch for batch in batches if batch.instrument == SPOT).ids.tolist()


def advance(market, seconds):
    market.advance(seconds)
    market.sent_all()


@given(st.lists(st.text(max_size=200) | st.binary(max_size=70_000), max_size=4))
def test_frames_are_read_back_as_they_were(frames):
    reader = StreamReader()
    reader.feed_data(encoded(frames))
    for frame in frames:
        parser = Frame.parse(reader.read_exact, mask=False)
        with pytest.raises(StopIteration) as parsed:
            next(parser)
        read = parsed.value.value
        assert (read.opcode, read.fin) == (Opcode.TEXT if isinstance(frame, str) else Opcode.BINARY, True)
        assert bytes(read.data) == (frame.encode() if isinstance(frame, str) else frame)


def test_who_comes_later_hears_how_things_stand_and_then_the_same(market):
    with market.websocket(PUBLIC) as early, market.websocket(PUBLIC) as late:
        subscribe(early, "bbo-tbt", "trades")
        advance(market, 30)
        before = data(rest_of(early))
        subscribe(late, "bbo-tbt", "trades")
        quotes = [one for one in before if one["arg"]["channel"] == "bbo-tbt"]
        assert data(rest_of(late)) == [quotes[-1]]
        advance(market, 30)
        assert data(rest_of(late)) == data(rest_of(early)) != []


def test_every_trade_comes_once_while_subscriptions_change(market):
    with market.websocket(BUSINESS) as steady, market.websocket(BUSINESS) as changing:
        subscribe(steady, "trades-all")
        got = []
        for op in ("subscribe", "unsubscribe") * 3:
            subscribe(changing, "trades-all", op=op)
            advance(market, 10)
            got.append(ids(rest_of(changing)))
        assert ids(rest_of(steady)) == past(market, 60)
    assert [bool(one) for one in got] == [True, False] * 3
    assert all(numbers == list(range(numbers[0], numbers[-1] + 1)) for numbers in got[::2])


def test_what_a_seek_skips_is_not_sent(market):
    with market.websocket(BUSINESS) as websocket:
        subscribe(websocket, "trades-all", "candle1m")
        advance(market, 5)
        rest_of(websocket)
        time = market.exchange.clock.now() + 5 * MINUTE
        assert market.client.post("/tidemill/seek", json={"time": time}).status_code == 200
        advance(market, 60)
        frames = rest_of(websocket)
    assert ids([frame for frame in frames if b"trades-all" in frame]) == past(market, 60)
    starts = {int(row[0]) for one in data(frames) if one["arg"]["channel"] == "candle1m" for row in one["data"]}
    assert min(starts) * 1000 >= time // MINUTE * MINUTE


def test_the_controls_cut_the_connections_of_all_dialects_and_count_them(market):
    with (
        market.websocket(PUBLIC) as one,
        market.websocket(BYBIT) as two,
        market.websocket("/stream?streams=btcusdt@trade") as three,
    ):
        subscribe(one, "trades")
        advance(market, 5)
        state = market.get("/tidemill/state")
        assert state["health"]["figures"]["connections"] == 3
        assert state["sent"]["okx ('trades', 'BTC-USDT')"] == len(data(rest_of(one)))
        assert market.client.post("/tidemill/disconnect").status_code == 200
        for websocket in (one, two, three):
            with pytest.raises(ConnectionClosed):
                list(iter(lambda websocket=websocket: websocket.recv(timeout=10), None))


def test_who_does_not_read_is_cut_off(tape):
    with served(tape, tape.start + MINUTE, rules=Rules(unread=1), send_buffer=4096) as market:
        # It stops to read from the socket when a few frames wait in its queue.
        lazy = connect(f"ws://127.0.0.1:{market.port}{BUSINESS}", proxy=None, max_queue=1, close_timeout=0.1)
        with lazy as websocket:
            subscribe(websocket, "trades-all")
            for _ in range(200):
                advance(market, 10)
                if not market.exchange.figures.open:
                    break
    assert market.exchange.figures.cut == 1


class Breaking(Undisturbed):
    """Sends each push twice in the wrong order, and answers every request with a page of HTML."""

    def frames(self, session, frames):
        return list(reversed(list(frames))) * 2

    async def answer(self, request, response):
        return Response("<html>busy</html>", 503, {"Retry-After": "7"})


def test_all_that_goes_out_passes_interference(tape):
    with (
        served(tape, tape.start + 20 * MINUTE, interference=Breaking()) as market,
        market.websocket(BUSINESS) as websocket,
    ):
        subscribe(websocket, "trades-all")
        advance(market, 0.9)
        numbers = ids(rest_of(websocket))
        expected = past(market, 0.9)
        assert sorted(numbers) == sorted(expected * 2)
        assert numbers != sorted(numbers)
        for path in ("/api/v5/public/time", "/v5/market/time", "/api/v3/time"):
            answer = market.client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
        assert market.get("/tidemill/state")["now"] == market.exchange.now()


def test_answers_bear_the_markets_date(tape):
    with served(tape, tape.start + 20 * MINUTE) as market:
        assert market.client.get("/api/v5/public/time").headers["date"] == "Mon, 06 Jan 2025 00:20:00 GMT"
        assert len(market.client.get("/api/v3/time").headers.get_list("date")) == 1


def test_okx_pages_back_to_the_beginning_without_a_hole(market):
    wanted = market.exchange.tape.last("BTCUSDT", market.exchange.now(), 2_000).ids.tolist()
    page = market.get("/api/v5/market/history-trades", instId="BTC-USDT", limit=100)["data"]
    numbers = [int(row["tradeId"]) for row in page]
    while len(numbers) < 1_000:
        page = market.get("/api/v5/market/history-trades", instId="BTC-USDT", after=numbers[-1], limit=100)["data"]
        numbers += [int(row["tradeId"]) for row in page]
    assert numbers == wanted[::-1][: len(numbers)]
    after, before = numbers[100], numbers[150]
    page = market.get("/api/v5/market/history-trades", instId="BTC-USDT", after=after, before=before)["data"]
    assert [int(row["tradeId"]) for row in page] == numbers[101:150]
    at = int(page[-1]["ts"])
    page = market.get("/api/v5/market/history-trades", instId="BTC-USDT", type=2, after=at, limit=3)["data"]
    assert all(int(row["ts"]) < at for row in page)
    assert int(page[0]["tradeId"]) + 1 in numbers


def test_okx_merges_what_one_order_made_at_one_price(market):
    with market.websocket(PUBLIC) as merged, market.websocket(BUSINESS) as single:
        subscribe(merged, "trades")
        subscribe(single, "trades-all")
        advance(market, 60)
        rows = [row for one in data(rest_of(merged)) for row in one["data"]]
        numbers = ids(rest_of(single))
    assert sum(int(row["count"]) for row in rows) == len(numbers) > len(rows)
    covered = [n for row in rows for n in range(int(row["tradeId"]) - int(row["count"]) + 1, int(row["tradeId"]) + 1)]
    assert covered == numbers
