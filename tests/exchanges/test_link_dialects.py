"""What connections begin with, what keeps them alive and how they are renewed, in every way venues have."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from dialects import DialectServer, dialect, say

from exchanges import session, stale_streams
from exchanges.asked import capacity
from exchanges.venue import Heartbeat

NAMES = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
BTC, ETH, SOL = STREAMS = ("btcusdt@trade", "ethusdt@trade", "solusdt@trade")
MANY = {"messages": 1000}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(session, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(stale_streams, "ON_ITS_WAY_SECONDS", 0.02)


async def until(reached) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


def test_the_opening_comes_first_on_every_connection(linked, sink_type) -> None:
    sink, server = sink_type(quiet=True), DialectServer("whole")
    market = dialect("whole", opening=("hello", "and beat"))

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, market=market, names=NAMES, **MANY) as link:
            await until(lambda: server.streams == set(STREAMS))
            link.reconnect("once more")
            await until(lambda: len(server.texts) == 2 and server.streams == set(STREAMS))

    asyncio.run(run())
    assert [texts[:2] for texts in server.texts] == [["hello", "and beat"]] * 2
    assert [len(texts) for texts in server.texts] == [3, 3]


def test_a_test_request_is_answered_before_what_waits_to_be_sent(linked, sink_type) -> None:
    sink, server = sink_type(quiet=True), DialectServer("whole")

    async def run() -> None:
        limits = {"messages": 2, "messages_per": 0.3, "streams_per_message": 1}
        async with server.serving() as port, linked(port, sink, market=dialect("whole"), **limits) as link:
            await until(lambda: server.streams == {BTC})
            await link.change("SUBSCRIBE", [f"s{number}@trade" for number in range(30)])
            for _ in range(5):
                await server.connection.send(say("ping", words="alive"))
            await until(lambda: "alive" in server.texts[0])
            assert len(server.texts[0]) < 10
            await asyncio.sleep(0.4)
            assert server.texts[0].count("alive") < 5, "what is asked twice before there is room is answered once"

    asyncio.run(run())
    assert "lost" not in sink.marks()[:-1]


def test_our_heartbeats_do_not_wait_for_subscriptions(linked, sink_type) -> None:
    sink, server = sink_type(quiet=True), DialectServer("whole")

    async def run() -> None:
        limits = {"messages": 10, "messages_per": 1.0, "streams_per_message": 1}
        heartbeat = Heartbeat("client", interval=0.2, timeout=5, payload="ping")
        async with (
            server.serving() as port,
            linked(port, sink, market=dialect("whole"), heartbeat=heartbeat, **limits) as link,
        ):
            await link.change("SUBSCRIBE", [f"s{number}@trade" for number in range(30)])
            await until(lambda: server.texts and len(server.asked()) >= 6)

    asyncio.run(run())
    sixth = [at for at, text in enumerate(server.texts[0]) if text != "ping"][5]
    assert server.texts[0][:sixth].count("ping") >= 4


def test_mark_prices_are_data(linked, sink_type) -> None:
    sink, server = sink_type(), DialectServer("whole")

    async def run() -> None:
        watch = (0.5, 0.5, 0.1)
        async with server.serving() as port, linked(port, sink, market=dialect("whole"), watch=watch) as link:
            await until(lambda: server.streams)
            await server.connection.send(say("mark"))
            await until(lambda: link.health().state == "live")

    asyncio.run(run())


def test_a_message_that_replaces_what_was_before_has_all_streams(linked, sink_type, numbered) -> None:
    sink, server = sink_type(quiet=True), DialectServer("replacing")

    async def run() -> None:
        market = dialect("replacing")
        async with server.serving() as port, linked(port, sink, market=market, names=NAMES[:1], **MANY) as link:
            await until(lambda: server.streams == {BTC})
            await link.change("SUBSCRIBE", [ETH])
            await link.change("SUBSCRIBE", [SOL])
            await link.change("UNSUBSCRIBE", [BTC])
            await until(lambda: server.streams == {ETH, SOL})
            assert server.asked() == [
                ("SUBSCRIBE", list(streams)) for streams in ([BTC], [BTC, ETH], [BTC, ETH, SOL], [ETH, SOL])
            ]
            link.reconnect("once more")
            await until(lambda: len(server.texts) == 2 and server.streams == {ETH, SOL})
            assert server.asked(1) == [("SUBSCRIBE", [ETH, SOL])]
            await link.change("UNSUBSCRIBE", [ETH, SOL])
            await until(lambda: not server.subscribed and link.health().state == "waiting")
            await asyncio.sleep(0.2)
            assert len(server.texts) == 2
            await link.change("SUBSCRIBE", [BTC])
            await until(lambda: server.streams == {BTC})

    asyncio.run(run())
    assert sink.causes() == ["reconnect: once more", "stopped: the last stream was taken out", "stopped"]
    assert sink.carried[2:5] == [("connected", (ETH, SOL)), ("lost", ()), ("connected", (BTC,))]


def test_a_message_that_replaces_others_holds_no_more_than_one_message_may(linked, sink_type) -> None:
    async def run() -> None:
        server, sink, market = DialectServer("replacing"), sink_type(quiet=True), dialect("replacing")
        limits = {**MANY, "streams_per_message": 2}
        async with server.serving() as port, linked(port, sink, market=market, names=NAMES[:1], **limits) as link:
            await link.change("SUBSCRIBE", [ETH])
            with pytest.raises(Exception, match="holds 2 streams at most"):
                await link.change("SUBSCRIBE", [SOL])

    asyncio.run(run())
    assert capacity(dialect("replacing")) == 200


@pytest.mark.parametrize("style", ["whole", "each", "list", "replacing"])
@pytest.mark.parametrize("announced", [False, True])
def test_a_connection_is_renewed_whatever_the_dialect(linked, sink_type, numbered, style, announced) -> None:
    sink, server = sink_type(), DialectServer(style)
    market, limits = dialect(style, opening=("hello",)), {**MANY, "lifetime": 1000 if announced else 0.4}

    async def publish() -> None:
        number = 0
        while True:
            number += 1
            await server.publish(numbered(number), BTC)
            await asyncio.sleep(0.002)

    async def run() -> None:
        publishing = asyncio.create_task(publish())
        async with server.serving() as port, linked(port, sink, market=market, names=NAMES, **limits):
            for times in (1, 2):
                await until(lambda: len(sink.frames) > 20 and server.streams == set(STREAMS))
                if announced:
                    await list(server.subscribed)[-1].send(say("shutdown"))
                await sink.until(lambda: sink.marks().count("resubscribed") >= times)  # noqa: B023 - awaited here
            publishing.cancel()

    asyncio.run(run())
    assert set(sink.marks()[:-1]) == {"connected", "resubscribed"}
    assert all(texts[0] == "hello" for texts in server.texts)
    assert all(set(streams) == set(STREAMS) for _, streams in sink.carried)
    ids = {frame for frame in sink.frames if b'"t":' in frame}
    numbers = sorted(int(frame.split(b'"t":')[1].split(b",")[0]) for frame in ids)
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "no hole"


@pytest.mark.parametrize("style", ["whole", "replacing"])
def test_one_dead_stream_is_subscribed_anew_and_then_costs_one_connection(linked, sink_type, numbered, style) -> None:
    sink, server = sink_type(), DialectServer(style)
    sink.dead = {ETH}

    async def publish() -> None:
        while True:
            await server.publish(numbered(1), BTC)
            await asyncio.sleep(0.01)

    async def run() -> None:
        publishing = asyncio.create_task(publish())
        watch = (0.1, 0.3, 0.1)
        async with (
            server.serving() as port,
            linked(port, sink, market=dialect(style), names=NAMES, watch=watch, **MANY),
        ):
            await sink.until(lambda: sink.marks().count("interrupted") >= 3)
            publishing.cancel()

    asyncio.run(run())
    marks = [mark for mark in sink.marks() if mark != "doubtful"]
    assert marks[:6] == ["connected", "interrupted", "lost", "connected", "interrupted", "interrupted"]
    assert sink.causes()[0] == f"silence: {ETH} alone stays silent"
    assert next(event for event in sink.events if event[0] == "interrupted")[2:] == (f"silence: {ETH} alone", ETH)
    assert {event for event in sink.events if event[0] == "doubtful"} == {("doubtful", ETH)}
    again = [("UNSUBSCRIBE", [ETH]), ("SUBSCRIBE", [ETH])] if style == "whole" else [("SUBSCRIBE", list(STREAMS))]
    assert server.asked()[-len(again) :] == again


def test_a_stream_that_is_only_quiet_costs_nothing(linked, sink_type, numbered) -> None:
    sink, server = sink_type(quiet=True), DialectServer("whole")
    sink.dead = {ETH, SOL}

    async def run() -> None:
        watch = (0.05, 0.1, 0.1)
        async with (
            server.serving() as port,
            linked(port, sink, market=dialect("whole"), names=NAMES, watch=watch, **MANY),
        ):
            while sink.marks().count("doubtful") < 6:
                await server.publish(numbered(1), BTC)
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert set(sink.marks()[:-1]) == {"connected", "doubtful"}
    assert len(server.asked()) == 1


@pytest.mark.parametrize(("kind_bytes", "seen"), [(11, False), (12, True)])
def test_kinds_are_told_apart_by_as_many_bytes_as_the_venue_says(
    linked, sink_type, numbered, kind_bytes, seen
) -> None:
    sink, server = sink_type(quiet=True), DialectServer("whole")
    market = dialect("whole", kind_bytes=kind_bytes)

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, market=market, names=NAMES, **MANY) as link:
            await until(lambda: server.streams)
            await server.publish(numbered(1), BTC)
            await until(lambda: link.health().state == "live")
            await server.connection.send(
                '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
            )
            await until(lambda: len(sink.frames) >= 3)
            await asyncio.sleep(0.2)

    asyncio.run(run())
    assert (len(server.texts) == 2) == seen
