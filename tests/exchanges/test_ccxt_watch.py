"""A watch of ccxt's own class on a real socket: nothing is lost under a burst, and a loss is told."""

import asyncio
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ccxt_stand_in import StandIn, linked

from core.errors import TransientError
from core.instruments import Instrument
from exchanges import ccxt_exchange, ccxt_socket, history
from exchanges.ccxt_exchange import opened, overhear
from exchanges.ccxt_heard import Heard
from exchanges.ccxt_socket import CcxtSocket
from exchanges.clients import rest_of
from exchanges.messages import Ack, ErrorReply, Trade
from exchanges.registry import venue

VENUE = venue("ccxt-binanceus")
NAMES = "BTC-USDT", "ETH-USDT"


def trades_of(sink, name="BTC-USDT"):
    found = [message for frame in sink.frames for message in VENUE.parse(frame, 1)]
    return [one.id for one in found if isinstance(one, Trade) and one.instrument == f"binanceus:{name}"]


async def subscribed(stand_in, count=2):
    async with asyncio.timeout(20):
        while len(stand_in.subscribed) < count:
            await asyncio.sleep(0.01)


def test_a_burst_of_a_hundred_thousand_trades_arrives(sink_type):
    async def run():
        sink, stand_in = sink_type(), StandIn()
        async with stand_in.served(), linked(stand_in, sink, *NAMES):
            await subscribed(stand_in)
            for _ in range(10):
                stand_in.publish("BTCUSDT", 9_000)
                stand_in.publish("ETHUSDT", 1_000)
                await asyncio.sleep(0)
            # A look after every hundred frames would cost more than what is looked at.
            async with asyncio.timeout(90):
                while sum(frame.count(b'{"id"') for frame in sink.frames) < 100_000:
                    await asyncio.sleep(0.5)
        assert trades_of(sink) == list(range(1, 90_001))
        assert trades_of(sink, NAMES[1]) == list(range(1, 10_001))
        assert sink.marks() == ["connected", "lost"]
        assert sink.causes()[-1].startswith("stopped")

    asyncio.run(run())


def test_what_is_not_taken_is_not_read_and_nothing_of_it_is_lost(sink_type, monkeypatch):
    monkeypatch.setattr(ccxt_socket, "HIGH_WATER", 300)
    longest = 0

    async def run():
        nonlocal longest
        sink, stand_in = sink_type(), StandIn()
        async with stand_in.served(), linked(stand_in, sink, "BTC-USDT") as (link, _):
            await subscribed(stand_in, 1)
            stand_in.publish("BTCUSDT", 1)
            await sink.until(lambda: trades_of(sink) == [1])
            sink.open.clear()
            stand_in.publish("BTCUSDT", 6_000)
            cache = link._session._socket._exchange.trades["BTC/USDT"]
            for _ in range(40):
                await asyncio.sleep(0.02)
                longest = max(longest, len(cache))
            sink.open.set()
            await sink.until(lambda: trades_of(sink)[-1] == 6_001)
        assert trades_of(sink) == list(range(1, 6_002))
        assert sink.marks() == ["connected", "lost"]

    asyncio.run(run())
    # As much as its buffer held when it was told to read no more.
    assert 300 <= longest < 3_000


def test_where_ccxt_may_have_dropped_trades_none_of_that_moment_is_handed_on(sink_type, monkeypatch):
    monkeypatch.setattr(ccxt_exchange, "CACHED_TRADES", 50)

    async def run():
        sink, stand_in = sink_type(), StandIn()
        async with stand_in.served(), linked(stand_in, sink, "BTC-USDT"):
            await subscribed(stand_in, 1)
            stand_in.publish("BTCUSDT", 5)
            await sink.until(lambda: trades_of(sink) == [1, 2, 3, 4, 5])
            stand_in.publish("BTCUSDT", 2_000)
            await sink.until(lambda: "lost" in sink.marks())
            cut = trades_of(sink)[-1]
            await sink.until(lambda: sink.marks().count("connected") == 2)
        assert "others may be lost" in sink.causes()[0]
        assert trades_of(sink)[:cut] == list(range(1, cut + 1))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (lambda stand_in: stand_in.drop(), ("closed_by_venue", "lost_connection")),
        (lambda stand_in: [asyncio.ensure_future(one.close()) for one in stand_in.connections], ("closed_by_venue",)),
        (lambda stand_in: stand_in.send('{"e":"aggTrade","s":'), ("protocol_error", "lost_connection")),
        (lambda stand_in: stand_in.send("x" * 11_000_000), ("closed_by_venue", "lost_connection", "protocol_error")),
    ],
)
def test_a_loss_that_ccxt_is_silent_about_is_told_and_mended(sink_type, fault, cause):
    async def run():
        sink, stand_in = sink_type(), StandIn()
        async with stand_in.served(), linked(stand_in, sink, *NAMES):
            await subscribed(stand_in)
            stand_in.publish("BTCUSDT", 3)
            await sink.until(lambda: len(trades_of(sink)) == 3)
            fault(stand_in)
            await sink.until(lambda: sink.marks()[:3] == ["connected", "lost", "connected"])
            await subscribed(stand_in)
            stand_in.publish("BTCUSDT", 3)
            await sink.until(lambda: trades_of(sink) == [1, 2, 3, 4, 5, 6])
        assert sink.causes()[0].partition(":")[0] in cause
        assert stand_in.asked.count("exchangeInfo") == 1

    asyncio.run(run())


def test_a_venue_that_wants_nothing_is_left_alone(sink_type):
    async def run():
        sink, stand_in = sink_type(quiet=True), StandIn()
        stand_in.rest_status = 503
        async with stand_in.served(), linked(stand_in, sink, *NAMES) as (link, _):
            async with asyncio.timeout(20):
                while link.health().failures < 2:
                    await asyncio.sleep(0.01)
            assert sink.marks() == []
            # What ccxt knows as a limit is one to our breaker.
            assert "wants no requests" in link.health().cause

    asyncio.run(run())


def test_markets_that_are_not_listed_or_not_welcome_take_no_others_with_them(sink_type):
    async def run():
        sink, stand_in = sink_type(quiet=True), StandIn()
        stand_in.unwelcome = {"ethusdt@aggTrade"}
        async with stand_in.served(), linked(stand_in, sink, *NAMES, "DOGE-USDT") as (link, _):
            await sink.until(lambda: sink.marks().count("refused") == 2)
            stand_in.publish("BTCUSDT", 3)
            await sink.until(lambda: trades_of(sink) == [1, 2, 3])
            assert link.streams == ("trade:binanceus:BTC-USDT",)
        refused = [event for event in sink.events if event[0] == "refused"]
        assert {event[2] for event in refused} == {"trade:binanceus:ETH-USDT", "trade:binanceus:DOGE-USDT"}

    asyncio.run(run())


def test_streams_come_and_go_on_an_open_connection(sink_type):
    async def run():
        sink, stand_in = sink_type(quiet=True), StandIn()
        async with stand_in.served(), linked(stand_in, sink, "BTC-USDT") as (link, _):
            await subscribed(stand_in, 1)
            await link.change("SUBSCRIBE", ["trade:binanceus:ETH-USDT"])
            await subscribed(stand_in, 2)
            stand_in.publish("ETHUSDT", 2)
            await sink.until(lambda: trades_of(sink, "ETH-USDT") == [1, 2])
            answered = len(acks(sink))
            await link.change("UNSUBSCRIBE", ["trade:binanceus:ETH-USDT"])
            await sink.until(lambda: len(acks(sink)) > answered)
            stand_in.publish("ETHUSDT", 2)
            stand_in.publish("BTCUSDT", 2)
            await sink.until(lambda: trades_of(sink) == [1, 2])
            assert trades_of(sink, "ETH-USDT") == [1, 2]
            assert sink.marks() == ["connected"]

    asyncio.run(run())


def acks(sink):
    return [one for frame in sink.frames for one in VENUE.parse(frame, 1) if isinstance(one, Ack)]


def test_a_market_at_a_time_where_an_exchange_takes_no_more():
    async def run():
        stand_in = StandIn()
        async with stand_in.served():
            exchange = opened("binanceus", *stand_in.addresses)
            symbols = {"a": "BTC/USDT", "b": "ETH/USDT"}
            bell = asyncio.Event()
            socket = CcxtSocket(exchange, symbols, Heard(), bell.set, at_once=False)
            overhear(exchange, socket)
            try:
                socket.watch(("a", "b", "c"))
                await socket.connected()
                await subscribed(stand_in)
                ids = [*stand_in.publish("BTCUSDT", 3), *stand_in.publish("ETHUSDT", 2)]
                found = []
                async with asyncio.timeout(20):
                    while sum(isinstance(one, Trade) for one in found) < len(ids):
                        await asyncio.sleep(0.01)
                        found += [one for frame in socket.take() for one in VENUE.parse(frame, 1)]
                assert sorted(one.id for one in found if isinstance(one, Trade)) == sorted(ids)
                assert [one.streams for one in found if isinstance(one, ErrorReply)] == [("c",)]
            finally:
                await socket.close(1)
            with pytest.raises(TransientError):
                await socket.send("{}")

    asyncio.run(run())


def test_history_comes_in_the_largest_pages_that_the_exchange_gives():
    async def run():
        stand_in = StandIn()
        async with stand_in.served():
            for at in range(1, 1_301):
                stand_in.trades["BTCUSDT"].append((at, 1_700_000_000_000 + 10 * at))
            market, one = venue("ccxt-binanceus", *stand_in.addresses), Instrument.parse("binanceus:BTC-USDT")
            rest = rest_of(market)
            try:
                newest = await history.latest(rest, market, one, "execution")
                back = await history.back_to(rest, market, one, "execution", 1_700_000_003_000_000, 10_000)
                now = await history.time(rest, market)
            finally:
                await rest.close()
        assert newest.ids.tolist() == list(range(801, 1_301))
        assert back.reached
        ids = sorted({one for page in back.pages for one in page.ids.tolist()})
        assert ids == list(range(ids[0], 1_301))
        assert ids[0] <= 300
        assert abs(now / 1e6 - time.time()) < 60

    asyncio.run(run())
