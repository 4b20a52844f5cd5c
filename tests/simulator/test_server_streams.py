"""What the exchange sends by websocket: every trade once, in order, as Binance writes it."""

import json
import re
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.timeframes import MINUTE
from exchanges.binance_usdm import USDM
from exchanges.simulated import SIMULATED
from simulator import wire

sys.path.insert(0, str(Path(__file__).parent))
from served import PERP, SPOT, asked, invented_hour, rest_of, served

MINUTES = 2
ALL = ("trade", "aggTrade", "bookTicker", "kline_1s", "kline_1m", "depth", "depth5", "ticker", "miniTicker")


@pytest.fixture(scope="module")
def tape():
    return invented_hour()


@pytest.fixture
def market(tape):
    start = (tape.start // MINUTE + 20) * MINUTE
    with served(tape, start) as running:
        yield running


def played(market, websocket, seconds=MINUTES * 60, steps=12):
    """Let time pass in steps and give the frames."""
    frames = []
    for _ in range(steps):
        market.advance(seconds / steps)
        market.sent_all()
        frames += rest_of(websocket, quiet=0.02)
    return frames + rest_of(websocket)


def past(market, name, seconds=MINUTES * 60):
    end = market.exchange.clock.now()
    return next(
        batch for batch in market.exchange.tape.between(end - seconds * 1_000_000, end) if batch.instrument == name
    )


def test_each_trade_comes_once_in_the_shape_of_the_wire(market):
    with market.websocket("/stream?streams=btcusdt@trade") as websocket:
        frames = played(market, websocket)
    trades = past(market, SPOT)
    sent = [int(re.search(rb'"E":(\d+)', frame)[1]) * 1000 for frame in frames]
    columns = (trades.ids, trades.price, trades.size, trades.ts, trades.side)
    rows = zip(*(column.tolist() for column in columns), sent, strict=True)
    assert frames == [wire.payload("BTCUSDT", *row) for row in rows]
    assert all(one >= ts for one, ts in zip(sent, trades.ts.tolist(), strict=True))
    assert market.exchange.figures.sent["btcusdt@trade"] == len(trades)
    assert market.get("/tidemill/state")["last_ids"][SPOT] == trades.ids[-1]


def test_our_own_venues_read_every_frame(market):
    spot = "/".join(f"btcusdt@{kind}" for kind in ALL)
    with (
        market.websocket(f"/stream?streams={spot}") as one,
        market.websocket("/market/stream?streams=ethusdt@aggTrade/ethusdt@kline_1m/ethusdt@markPrice") as two,
        market.websocket("/public/stream?streams=ethusdt@bookTicker/ethusdt@depth20/ethusdt@depth") as three,
    ):
        # Each stream by the clock needs real time to pass as well.
        frames = [played(market, one, 120, 4), played(market, two, 120, 4), played(market, three, 120, 4)]
    messages = [
        venue.parse(frame, 1) for venue, batch in zip((SIMULATED, USDM, USDM), frames, strict=True) for frame in batch
    ]
    seen = {json.loads(frame)["stream"] for batch in frames for frame in batch}
    assert len(seen) == 9 + 3 + 3
    assert {type(message[0]).__name__ for message in messages if message} == {"Trade", "Quote", "Kline", "MarkPrice"}


def test_one_connection_carries_all_in_the_order_of_time(market):
    with market.websocket("/stream") as websocket:
        assert asked(websocket, "SUBSCRIBE", "btcusdt@trade", "btcusdt@aggTrade") == {"result": None, "id": 1}
        frames = [json.loads(frame)["data"] for frame in played(market, websocket)]
    times = [frame["T"] for frame in frames]
    assert times == sorted(times)
    trades = past(market, SPOT)
    assert [frame["t"] for frame in frames if frame["e"] == "trade"] == trades.ids.tolist()
    assert [frame["f"] for frame in frames if frame["e"] == "aggTrade"] == trades.ids.tolist()


def test_a_perpetual_is_sent_on_its_routes_only(market):
    with (
        market.websocket("/market/ws/ethusdt@aggTrade") as right,
        market.websocket("/public/ws") as wrong,
        market.websocket("/ws/ethusdt@aggTrade") as spot,
    ):
        assert asked(wrong, "SUBSCRIBE", "ethusdt@aggTrade") == {"result": None, "id": 1}
        frames = [json.loads(frame) for frame in played(market, right)]
        assert rest_of(wrong) == rest_of(spot) == []
    trades = past(market, PERP)
    assert [frame["f"] for frame in frames] == trades.ids.tolist()
    assert [frame["p"] for frame in frames] == [f"{price:.2f}" for price in trades.price.tolist()]
    assert [frame["q"] for frame in frames] == [f"{size:.4f}" for size in trades.size.tolist()]
    assert np.diff([frame["a"] for frame in frames]).tolist() == [1] * (len(trades) - 1)


def test_quotes_move_with_the_price(market):
    with market.websocket("/ws/btcusdt@bookTicker") as websocket:
        frames = [json.loads(frame) for frame in played(market, websocket, 60, 40)]
    trades = past(market, SPOT, 60)
    last = Decimal(repr(float(trades.price[-1])))
    assert (Decimal(frames[-1]["b"]), Decimal(frames[-1]["a"])) == (last - Decimal("0.01"), last + Decimal("0.01"))
    moves = trades.ids[1:][np.diff(trades.price) != 0].tolist()
    assert [frame["u"] for frame in frames][-len(moves) :] == moves


def test_each_candle_is_closed_once_and_equals_rest(market):
    with market.websocket("/ws/btcusdt@kline_1m") as websocket:
        frames = [json.loads(frame)["k"] for frame in played(market, websocket, steps=15)]
        market.advance(1)
        frames += [json.loads(frame)["k"] for frame in rest_of(websocket)]
    rows = market.get("/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=MINUTES + 1)[:MINUTES]
    closed = [k for k in frames if k["x"]]
    told = [[k["t"], *(k[name] for name in "ohlcv"), k["T"], k["q"], k["n"], k["V"], k["Q"], "0"] for k in closed]
    assert told == rows
    trades = past(market, SPOT, MINUTES * 60 + 1)
    assert trades.ids[0] - 1 <= closed[0]["f"] <= trades.ids[0]
    assert all(one["L"] + 1 == following["f"] for one, following in pairwise(closed))


@pytest.mark.parametrize(
    ("address", "path", "symbol"),
    [
        ("/ws/btcusdt@depth@100ms", "/api/v3/depth", "BTCUSDT"),
        ("/public/ws/ethusdt@depth@100ms", "/fapi/v1/depth", "ETHUSDT"),
    ],
)
def test_diffs_turn_one_book_into_the_next(market, address, path, symbol):
    with market.websocket(address) as websocket:
        before = market.get(path, symbol=symbol, limit=100)
        frames = []
        for _ in range(5):
            market.advance(20)
            frames += rest_of(websocket, quiet=0.25)
        after = market.get(path, symbol=symbol, limit=100)
    events = [json.loads(frame) for frame in frames]
    assert len(events) == 5
    assert events[0]["U"] <= before["lastUpdateId"] + 1 <= events[0]["u"]
    for one, following in pairwise(events):
        assert following["U"] == one["u"] + 1
        assert following.get("pu", one["u"]) == one["u"]
    for side, name in (("b", "bids"), ("a", "asks")):
        levels = dict(map(tuple, before[name]))
        for event in events:
            levels |= dict(map(tuple, event[side]))
        book = {price: size for price, size in levels.items() if Decimal(size)}
        assert book == dict(map(tuple, after[name]))
    assert events[-1]["u"] == after["lastUpdateId"]


def test_times_in_microseconds_on_request(market):
    with market.websocket("/ws/btcusdt@trade?timeUnit=MICROSECOND") as websocket:
        frames = [json.loads(frame) for frame in played(market, websocket)]
    assert [frame["T"] for frame in frames] == past(market, SPOT).ts.tolist()


def test_what_a_seek_skips_is_not_sent(market):
    tape, clock = market.exchange.tape, market.exchange.clock
    with market.websocket("/ws/btcusdt@trade") as websocket:
        skipped = clock.now() + 10 * MINUTE
        assert market.client.post("/tidemill/seek", json={"time": skipped}).status_code == 200
        frames = [json.loads(frame) for frame in played(market, websocket)]
        assert [frame["t"] for frame in frames] == past(market, SPOT).ids.tolist()
        assert market.client.post("/tidemill/seek", json={"time": skipped - 5 * MINUTE}).status_code == 200
        again = [json.loads(frame) for frame in played(market, websocket)]
    assert [frame["t"] for frame in again] == past(market, SPOT).ids.tolist()
    assert tape.last("BTCUSDT", skipped, 1).ids[-1] < frames[0]["t"]


def test_a_client_that_comes_later_has_no_hole_to_rest(market):
    with market.websocket("/ws") as websocket:
        market.advance(30)
        assert asked(websocket, "SUBSCRIBE", "btcusdt@trade")["result"] is None
        page = market.get("/api/v3/trades", symbol="BTCUSDT", limit=1000)
        frames = [json.loads(frame)["t"] for frame in played(market, websocket)]
    assert frames[0] <= page[-1]["id"] + 1
    assert frames == list(range(frames[0], frames[-1] + 1))
