"""What streams tell while a fault lasts, seen by bare clients: the tape is the truth about trades."""

import json
import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from core.timeframes import MINUTE
from simulator.faults.garbage import garbled

sys.path.insert(0, str(Path(__file__).parent))
from breaking import BINANCE, OKX, THREE, clear, entry, ids, listening, play
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
        one.rows(1)
        yield one


def numbers(rows):
    return [number for number, _ in rows]


def known(client):
    body = client.market.get(client.spoken.rest, **client.spoken.params)
    return sorted(numbers(client.spoken.listed(body)))


@pytest.mark.parametrize("served_by_rest", [True, False])
def test_ids_are_skipped_and_rest_knows_them_or_never_will(client, served_by_rest):
    play(client.market, {"fault": "skip", "count": 4, "served": served_by_rest})
    told, truth = numbers(client.rows()), client.past(2)
    assert told == truth[4:]
    assert ids(entry(client.market)["instruments"][client.spoken.instrument]["ids"]) == truth[:4]
    lost = ids(client.market.get("/tidemill/faults")["never_served"].get("BTC-USDT", []))
    assert lost == ([] if served_by_rest else truth[:4])
    clear(client.market)
    reached = client.past(3)
    missing = set(reached) - set(known(client))
    assert missing & set(truth) == set(lost)
    assert numbers(client.rows()) == client.past(2)


def test_candles_know_what_rest_never_serves(market):
    with listening(market, OKX) as client:
        play(market, {"fault": "skip", "count": 1000, "served": False})
        assert client.rows() == []
        assert known(client)[-1] < client.past(2)[0]
        row = market.get("/api/v5/market/candles", instId="BTC-USDT", bar="1s", limit=1)["data"][0]
        assert float(row[5]) > 0


def test_silence_acknowledges_and_answers_pings_but_tells_nothing(client):
    play(client.market, {"fault": "silence"})
    assert client.rows() == []
    if client.spoken is OKX:
        client.socket.send("ping")
        assert rest_of(client.socket) == [b"pong"]
    with listening(client.market, client.spoken) as other:
        assert other.rows() == []
    written = entry(client.market)
    # Two websockets were told nothing of the same trades.
    touched = ids(written["instruments"][client.spoken.instrument]["ids"])
    assert touched == client.past(4)
    assert len(written["connections"]) == 2
    clear(client.market)
    assert numbers(client.rows()) == client.past(2)


def test_only_some_channels_are_silent(market):
    with market.websocket("/stream?streams=btcusdt@trade/btcusdt@bookTicker") as websocket:
        play(market, {"fault": "silence", "channels": ["trade", "aggregate"], "dialects": ["binance"]})
        market.advance(10)
        market.sent_all()
        assert {json.loads(frame)["stream"] for frame in rest_of(websocket)} == {"btcusdt@bookTicker"}


def test_frames_come_again_at_once(client):
    play(client.market, {"fault": "duplicate", "for": 60})
    told = client.heard()
    assert told[::2] == told[1::2]
    assert numbers(client.spoken.read(told[::2])) == client.past(2)


def test_frames_come_again_later(client):
    play(client.market, {"fault": "duplicate", "count": 2, "after": 0.3})
    told = client.heard(2, steps=1)
    told += rest_of(client.socket, quiet=1.0)
    assert told[-2:] == told[:2]
    assert numbers(client.spoken.read(told[:-2])) == client.past(2)
    assert entry(client.market)["frames"] == 2


def test_frames_change_places_and_none_is_lost(client):
    play(client.market, {"fault": "reorder", "within": 4, "hold": 0.1, "for": 60})
    told = client.heard(8, steps=12)
    told += rest_of(client.socket, quiet=1.0)
    found, truth = numbers(client.spoken.read(told)), client.past(8)
    assert sorted(found) == truth
    assert found != truth


def test_conflicting_prices_come_after_the_true_ones_and_rest_knows_the_true_ones(client):
    play(client.market, {"fault": "conflict", "count": 2, "ticks": 7})
    rows, truth = client.rows(), client.past(2)
    assert sorted(set(numbers(rows))) == truth
    listed = dict(client.spoken.listed(client.market.get(client.spoken.rest, **client.spoken.params)))
    wrong = [(number, price) for number, price in rows if number in listed and float(price) != float(listed[number])]
    for number in truth[:2]:
        first, second = (price for one, price in rows if one == number)
        assert float(second) == pytest.approx(float(first) + 0.07)
    assert {number for number, _ in wrong} <= set(truth[:2])
    assert len(rows) == len(truth) + 2


def test_garbage_comes_between_and_nothing_is_lost(client):
    play(client.market, {"fault": "garbage", "count": 4})
    told = client.heard(4)
    assert numbers(client.spoken.read(told)) == client.past(4)
    assert entry(client.market)["frames"] == 4
    assert sum(not client.spoken.read([frame]) for frame in told) == 4


def test_garbage_instead_of_frames_loses_what_they_told(client):
    play(client.market, {"fault": "garbage", "count": 1, "kinds": ["half"], "instead": True})
    told, truth = numbers(client.rows()), client.past(2)
    lost = [number for number in truth if number not in told]
    assert lost
    assert set(lost) <= set(ids(entry(client.market)["instruments"][client.spoken.instrument]["ids"]))


@pytest.mark.parametrize("seed", range(20))
def test_garbage_is_never_read_as_what_it_was(seed):
    frame = '{"stream":"btcusdt@trade","data":{"e":"trade","t":7,"p":"1.50","q":"2","T":9,"m":true}}'
    chance = random.Random(seed)
    assert BINANCE.read([garbled(frame, "half", chance).encode()]) == []
    data = json.loads(garbled(frame, "types", chance))["data"]
    assert data["e"] == "trade"
    assert all(data[name] not in (7, "1.50", "2", 9) for name in "tpqT")
    assert json.loads(garbled(frame, "event", chance))["event"] not in ("trade", "aggTrade")
    assert isinstance(garbled(frame, "bytes", chance), bytes)
    assert isinstance(garbled(frame.encode(), "types", chance), bytes)


def test_huge_and_deep_frames_come_whole(client):
    play(client.market, {"fault": "huge_frame", "size": 5_000_000}, {"fault": "deep_nesting", "depth": 50_000})
    huge, deep = rest_of(client.socket, quiet=1.0)
    assert len(huge) == 5_000_000
    assert json.loads(huge).keys() == {"padding"}
    assert deep == b"[" * 50_000 + b"]" * 50_000


def test_faults_follow_their_filters(market):
    def told():
        market.advance(2)
        market.sent_all()
        return [one.spoken.name for one in (okx, binance) if one.spoken.read(rest_of(one.socket))]

    with listening(market, OKX) as okx, listening(market, BINANCE) as binance:
        for step, left in [
            ({"fault": "skip", "count": 1000, "dialects": ["okx"], "instruments": ["BTC-*"]}, ["binance"]),
            ({"fault": "skip", "count": 1000, "instruments": ["*-PERP"]}, ["okx", "binance"]),
            ({"fault": "silence", "instruments": ["binance:BTC-USDT"]}, ["okx"]),
            ({"fault": "silence", "connections": ["/ws/v5/*"]}, ["binance"]),
            ({"fault": "silence", "channels": ["quote"]}, ["okx", "binance"]),
        ]:
            play(market, step)
            assert told() == left


def test_the_same_trades_are_skipped_in_all_dialects(market):
    with listening(market, OKX) as okx, listening(market, BINANCE) as binance:
        play(market, {"fault": "skip", "count": 6, "instruments": ["BTC-USDT"]})
        market.advance(3)
        market.sent_all()
        told = [numbers(one.spoken.read(rest_of(one.socket))) for one in (okx, binance)]
        assert told == [okx.past(3)[6:]] * 2
        touched = entry(market)["instruments"]
        assert {name: ids(one["ids"]) for name, one in touched.items()} == dict.fromkeys(
            ("okx:BTC-USDT", "binance:BTC-USDT"), okx.past(3)[:6]
        )


def test_aggregates_of_usdm_jump_in_trade_ids_and_nowhere_else(market):
    with market.websocket("/market/stream?streams=ethusdt@aggTrade") as websocket:
        play(market, {"fault": "false_gap", "count": 5})
        market.advance(3)
        market.sent_all()
        rows = [json.loads(frame)["data"] for frame in rest_of(websocket)]
        numbers = [row["a"] for row in rows]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        asked = market.get("/fapi/v1/aggTrades", symbol="ETHUSDT", fromId=numbers[0] - 3, limit=3 + len(numbers))
        assert [(row["a"], row["f"]) for row in asked[3:]] == [(row["a"], row["f"]) for row in rows]
        firsts = [row["f"] for row in asked]
        assert sorted({after - before for before, after in pairwise(firsts)}) == [1, 6]
