"""Coinbase's feed as a server of our own speaks it: answers name all that a connection carries, and no request."""

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from core.instruments import Instrument
from exchanges import session
from exchanges.attempts import Attempts
from exchanges.link import Link, Watch
from exchanges.messages import Trade
from exchanges.registry import venue


class Feed:
    """Trade in two products; whoever asks for another is refused everything that was asked with it."""

    def __init__(self) -> None:
        self.ids = {"BTC-USD": 7, "ETH-USD": 70}
        self.carried: list[tuple[str, str]] = []
        self.asked: list[str] = []

    async def talk(self, socket) -> None:
        self.carried = []
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                told = json.loads(text)
                self.asked.append(told["type"])
                named = [(c["name"], product) for c in told["channels"] for product in c["product_ids"]]
                unknown = [product for _, product in named if product not in self.ids]
                if unknown:
                    reason = f"{unknown[0]} is not a valid product"
                    await socket.send(
                        json.dumps({"type": "error", "message": "Failed to subscribe", "reason": reason})
                    )
                    continue
                kept = [one for one in self.carried if one not in named]
                self.carried = kept + named if told["type"] == "subscribe" else kept
                names = dict.fromkeys(name for name, _ in self.carried)
                channels = [{"name": n, "product_ids": [p for name, p in self.carried if name == n]} for n in names]
                await socket.send(json.dumps({"type": "subscriptions", "channels": channels}))
                for _, product in named if told["type"] == "subscribe" else ():
                    await self.trade(socket, product, "last_match", self.ids[product])
                    self.ids[product] += 1
                    await self.trade(socket, product, "match", self.ids[product])

    async def trade(self, socket, product: str, kind: str, number: int) -> None:
        row = {"type": kind, "trade_id": number, "side": "sell", "size": "1", "price": "2", "product_id": product,
               "sequence": 10 * number, "time": "2026-08-25T03:35:57.198335Z"}  # fmt: skip
        await socket.send(json.dumps(row))


@contextlib.asynccontextmanager
async def linked(feed: Feed, sink, products: list[str]):
    async with serve(feed.talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        market = replace(venue("coinbase"), websocket_url=f"ws://127.0.0.1:{port}")
        (connection,) = market.subscriptions([Instrument.parse(f"coinbase:{one}") for one in products], ["trade"])
        link = Link(market, connection, sink, Attempts(market.limits, base=0.02, cap=0.1), Watch(5.0, 5.0, 0.2))
        task = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def read(sink) -> list[tuple[str, int]]:
    messages = [one for frame in sink.frames for one in venue("coinbase").parse(frame, 5)]
    return [(one.instrument, one.id) for one in messages if isinstance(one, Trade)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch) -> None:
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 0.1)


def test_a_product_that_is_gone_does_not_take_the_others_down(sink_type) -> None:
    sink, feed = sink_type(quiet=True), Feed()

    async def run() -> None:
        async with linked(feed, sink, ["BTC-USD", "GONE-USD", "ETH-USD"]) as link:
            await sink.until(lambda: len(read(sink)) == 4)
            await sink.until(lambda: "refused" in sink.marks())
            assert link.streams == ("matches:BTC-USD", "matches:ETH-USD")
            assert link.health().state == "live"

    asyncio.run(run())
    assert sorted(read(sink)) == [("coinbase:BTC-USD", n) for n in (7, 8)] + [
        ("coinbase:ETH-USD", n) for n in (70, 71)
    ]
    (refused,) = [event for event in sink.events if event[0] == "refused"]
    assert refused[2:] == ("matches:GONE-USD", "0: Failed to subscribe: GONE-USD is not a valid product")
    assert sink.causes() == ["stopped"]


def test_what_is_taken_out_and_in_again_is_answered_each_time(sink_type) -> None:
    sink, feed = sink_type(quiet=True), Feed()

    async def run() -> None:
        async with linked(feed, sink, ["BTC-USD", "ETH-USD"]) as link:
            await sink.until(lambda: len(read(sink)) == 4)
            (held,) = link._sessions
            await link.change("UNSUBSCRIBE", ["matches:BTC-USD"])
            await link.change("SUBSCRIBE", ["matches:BTC-USD"])
            await sink.until(lambda: len(read(sink)) == 6)
            async with asyncio.timeout(10):
                assert await held.proven(10)
            assert not held.asking

    asyncio.run(run())
    assert feed.asked == ["subscribe", "unsubscribe", "subscribe"]
    assert read(sink)[4:] == [("coinbase:BTC-USD", 8), ("coinbase:BTC-USD", 9)]
    assert sink.causes() == ["stopped"]
