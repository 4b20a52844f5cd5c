"""A recording that is served again says what it said: real frames of Binance, by websocket and by REST."""

import gzip
import json
import sys
from pathlib import Path

import pytest

from core.instruments import Instrument
from exchanges.binance import SPOT
from simulator.tapes.recorded import from_recordings

sys.path.insert(0, str(Path(__file__).parent))
from served import Served, rest_of, served

pytestmark = pytest.mark.sample


@pytest.fixture(scope="module")
def recording(sample) -> Path:
    return sample / "trades" / "binance_spot_btcusdt_20240808.ws.gz"


@pytest.fixture(scope="module")
def captured(recording) -> list[dict]:
    """The trades as the venue sent them, each once, in the order of time."""
    found = {}
    with gzip.open(recording) as lines:
        for line in lines:
            frame = json.loads(line.split(b" ", 1)[1])
            if frame.get("stream") == "btcusdt@trade":
                found.setdefault(frame["data"]["t"], frame["data"])
    return sorted(found.values(), key=lambda data: (data["T"], data["t"]))


@pytest.fixture(scope="module")
def market(recording):
    with served(from_recordings([recording], SPOT, [Instrument.parse("binance:BTC-USDT")])) as running:
        yield running


def said(data: dict) -> tuple:
    return tuple(data[name] for name in ("e", "s", "t", "p", "q", "T", "m", "M"))


def test_it_is_sent_as_it_was(market: Served, captured):
    assert len(captured) > 1000
    frames: list[dict] = []
    with market.websocket("/stream?streams=btcusdt@trade") as websocket:
        length = market.exchange.tape.end - market.exchange.tape.start
        for _ in range(20):
            market.advance(length / 20 / 1_000_000 + 0.001)
            market.sent_all()
            frames += [json.loads(frame)["data"] for frame in rest_of(websocket, quiet=0.05)]
        frames += [json.loads(frame)["data"] for frame in rest_of(websocket)]
    assert [said(data) for data in frames] == [said(data) for data in captured]
    assert market.exchange.health().why == ("the market is over: the tape has ended",)


def test_it_is_paged_as_it_was(market: Served, captured):
    market.exchange.seek(market.exchange.tape.end)
    rows: list[dict] = []
    first = 0
    while page := market.get("/api/v3/historicalTrades", symbol="BTCUSDT", fromId=first, limit=1000):
        rows += page
        first = page[-1]["id"] + 1
    by_id = sorted(captured, key=lambda data: data["t"])
    assert [(row["id"], row["price"], row["qty"], row["time"], row["isBuyerMaker"]) for row in rows] == [
        (data["t"], data["p"], data["q"], data["T"], data["m"]) for data in by_id
    ]
