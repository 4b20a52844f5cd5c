"""Bare clients of three dialects of a simulated exchange that is broken: chaining ids, others, and Binance."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from served import SPOT, Served, rest_of
from websockets.sync.client import ClientConnection

Row = tuple[int, str]
"""A trade's id on the tape, and its price as told."""


def _okx(frame: Any) -> list[Row]:
    return [(int(row["tradeId"]), row["px"]) for row in frame["data"]]


def _bybit(frame: Any) -> list[Row]:
    return [(row["seq"], row["p"]) for row in frame["data"]]


def _binance(frame: Any) -> list[Row]:
    return [(frame["data"]["t"], frame["data"]["p"])]


def _is_trade(number: object, price: object) -> bool:
    return type(number) is int and isinstance(price, str) and math.isfinite(float(price))


@dataclass(frozen=True)
class Spoken:
    """How to hear the trades of the spot market in one dialect, and to ask REST for them."""

    name: str
    instrument: str
    path: str
    subscribe: str
    rows: Callable[[Any], list[Row]]
    rest: str
    params: dict[str, Any]
    listed: Callable[[Any], list[Row]]
    time: str
    time_of: Callable[[Any], int]

    def read(self, frames: list[bytes]) -> list[Row]:
        """Give the trades of frames; what is no frame of trades is passed over."""
        found = []
        for frame in frames:
            try:
                rows = self.rows(json.loads(frame))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            found += [(number, price) for number, price in rows if _is_trade(number, price)]
        return found


OKX = Spoken(
    "okx",
    "okx:BTC-USDT",
    "/ws/v5/business",
    '{"op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}',
    _okx,
    "/api/v5/market/trades",
    {"instId": "BTC-USDT", "limit": 500},
    _okx,
    "/api/v5/public/time",
    lambda body: int(body["data"][0]["ts"]),
)
BYBIT = Spoken(
    "bybit",
    "bybit:BTC-USDT",
    "/v5/public/spot",
    '{"op":"subscribe","args":["publicTrade.BTCUSDT"]}',
    _bybit,
    "/v5/market/recent-trade",
    {"category": "spot", "symbol": "BTCUSDT", "limit": 60},
    lambda body: [(int(row["seq"]), row["price"]) for row in body["result"]["list"]],
    "/v5/market/time",
    lambda body: int(body["result"]["timeNano"]) // 1_000_000,
)
BINANCE = Spoken(
    "binance",
    "binance:BTC-USDT",
    "/stream?streams=btcusdt@trade",
    "",
    _binance,
    "/api/v3/trades",
    {"symbol": "BTCUSDT", "limit": 500},
    lambda body: [(row["id"], row["price"]) for row in body],
    "/api/v3/time",
    lambda body: body["serverTime"],
)
THREE = (OKX, BYBIT, BINANCE)


@dataclass
class Listening:
    """A websocket that is subscribed, on a market that stands still until it is told to go on."""

    market: Served
    spoken: Spoken
    socket: ClientConnection

    def heard(self, seconds: float = 2.0, steps: int = 4) -> list[bytes]:
        """Let time pass and give the frames that come."""
        frames = []
        for _ in range(steps):
            self.market.advance(seconds / steps)
            self.market.sent_all()
            frames += rest_of(self.socket, quiet=0.05)
        return frames

    def rows(self, seconds: float = 2.0) -> list[Row]:
        """Let time pass and give the trades that are told."""
        return self.spoken.read(self.heard(seconds))

    def past(self, seconds: float) -> list[int]:
        """Give the ids of what really happened."""
        tape, now = self.market.exchange.tape, self.market.exchange.now()
        batches = tape.between(now - int(seconds * 1_000_000), now)
        return [number for batch in batches if batch.instrument == SPOT for number in batch.ids.tolist()]


@contextmanager
def listening(market: Served, spoken: Spoken) -> Iterator[Listening]:
    with market.websocket(spoken.path, max_size=2**27) as socket:
        if spoken.subscribe:
            socket.send(spoken.subscribe)
            rest_of(socket)
        yield Listening(market, spoken, socket)


def play(market: Served, *steps: dict[str, Any], **head: Any) -> dict[str, Any]:
    """Play steps, of all dialects and from now on unless they say more."""
    scenario = {"begins": "started", "steps": list(steps), **head}
    answer = market.client.post("/tidemill/faults", json={"scenario": scenario})
    assert answer.status_code == 200, answer.text
    return answer.json()


def clear(market: Served) -> None:
    assert market.client.post("/tidemill/faults", json={"clear": True}).status_code == 200


def entry(market: Served) -> dict[str, Any]:
    """Give what was written down of the last fault."""
    return market.get("/tidemill/faults")["entries"][-1]


def until(true: Callable[[], Any]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def ids(spans: list[list[int]]) -> list[int]:
    return [number for first, last in spans for number in range(first, last + 1)]
