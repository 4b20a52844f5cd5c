"""A refused stream never takes the others down, however the venue says what it refuses."""

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from dialects import STYLES, DialectServer, dialect, say

from exchanges import session

COINS = ("ADA", "BTC", "DOT", "ETH", "SOL", "TRX", "XLM", "XRP")
NAMES = tuple(f"{coin}-USDT" for coin in COINS)
STREAMS = tuple(f"{coin.lower()}usdt@trade" for coin in COINS)
QUICK = {"messages": 1000, "streams_per_message": 8}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(session, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(session, "PATIENCE_SECONDS", 0.1)


async def until(reached) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


def refused(sink) -> list[str]:
    return sorted(stream for event in sink.events if event[0] == "refused" for stream in event[2:-1])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("bad", [(0,), (2, 7), (3, 4, 5, 6), tuple(range(8))])
def test_what_is_refused_at_first_is_forgotten_and_the_rest_stays(linked, sink_type, style, bad) -> None:
    gone = {STREAMS[at] for at in bad}
    kept, sink, server = set(STREAMS) - gone, sink_type(quiet=True), DialectServer(style, gone)

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, market=dialect(style), names=NAMES, **QUICK) as link:
            await until(lambda: set(link.streams) == kept and server.streams == kept)
            await asyncio.sleep(0.3)
            assert (set(link.streams), server.streams) == (kept, kept)
            assert link.health().attempts == 1

    asyncio.run(run())
    assert refused(sink) == sorted(gone)
    assert [mark for mark in sink.marks() if mark not in ("refused", "doubtful")] == ["connected", "lost"]
    assert sink.carried[0] == ("connected", STREAMS)
    assert set(sink.carried[-1][1]) == kept


@pytest.mark.parametrize("style", STYLES)
def test_what_is_refused_later_goes_the_same_way(linked, sink_type, style) -> None:
    sink, server = sink_type(quiet=True), DialectServer(style, {STREAMS[2], STREAMS[5]})
    kept = set(STREAMS) - server.bad

    async def run() -> None:
        market = dialect(style)
        async with server.serving() as port, linked(port, sink, market=market, names=NAMES[:1], **QUICK) as link:
            await until(lambda: server.streams == {STREAMS[0]})
            await link.change("SUBSCRIBE", STREAMS[1:4])
            await link.change("SUBSCRIBE", STREAMS[4:])
            await link.change("UNSUBSCRIBE", (STREAMS[7],))
            await until(lambda: set(link.streams) == kept - {STREAMS[7]} == server.streams)
            server.bad.clear()
            await link.change("SUBSCRIBE", (STREAMS[2], STREAMS[7]))
            await until(lambda: set(link.streams) == (kept | {STREAMS[2]}) == server.streams)
            assert link.health().attempts == 1

    asyncio.run(run())
    assert refused(sink) == [STREAMS[2], STREAMS[5]]
    assert "lost" not in sink.marks()[:-1]


def test_a_stream_that_the_venue_takes_back_is_forgotten_too(linked, sink_type) -> None:
    sink, server = sink_type(quiet=True), DialectServer("each")

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, market=dialect("each"), names=NAMES, **QUICK) as link:
            await until(lambda: server.streams == set(STREAMS))
            await asyncio.sleep(0.05)
            await server.connection.send(say("error", [STREAMS[3], "unknown@trade"], "delisted"))
            await until(lambda: len(link.streams) == 7)
            link.reconnect("to see what is asked for")
            await until(lambda: len(server.texts) == 2 and server.streams == set(STREAMS) - {STREAMS[3]})

    asyncio.run(run())
    assert [event[2:] for event in sink.events if event[0] == "refused"] == [(STREAMS[3], "7: delisted")]


@pytest.mark.parametrize("style", ["whole", "replacing"])
def test_an_error_about_nothing_that_was_asked_is_about_the_connection(linked, sink_type, style) -> None:
    sink, server = sink_type(quiet=True), DialectServer(style)

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, market=dialect(style), names=NAMES, **QUICK) as link:
            await until(lambda: server.streams == set(STREAMS))
            await asyncio.sleep(0.2)
            await server.connection.send(say("error", words="go\naway"))
            await until(lambda: len(server.texts) == 2 and server.streams == set(STREAMS))
            assert len(link.streams) == 8

    asyncio.run(run())
    assert sink.causes() == ["refused: 7: go away", "stopped"]


def test_a_link_without_streams_keeps_its_connection_and_opens_no_other(linked, sink_type) -> None:
    sink, server = sink_type(), DialectServer("whole", {STREAMS[0]})

    async def run() -> None:
        async with (
            server.serving() as port,
            linked(port, sink, market=dialect("whole"), names=NAMES[:1], watch=(0.1, 0.1, 0.1), **QUICK) as link,
        ):
            await until(lambda: link.streams == () and server.subscribed)
            await asyncio.sleep(0.3)
            assert sink.marks() == ["connected", "refused"]
            server.connection.transport.abort()
            await until(lambda: "lost" in sink.marks())
            await asyncio.sleep(0.3)
            assert (link.health().state, len(server.texts)) == ("waiting", 1)
            server.bad.clear()
            await link.change("SUBSCRIBE", STREAMS[:2])
            await until(lambda: server.streams == set(STREAMS[:2]))

    asyncio.run(run())
    assert sink.carried[:3] == [("connected", STREAMS[:1]), ("lost", ()), ("connected", STREAMS[:2])]


def test_refusals_keep_to_the_limit_of_messages(linked, sink_type) -> None:
    bad = {STREAMS[at] for at in (1, 4, 6)}
    sink, server, times = sink_type(quiet=True), DialectServer("whole", bad), []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        answers = server._answers
        server._answers = lambda *asked: (times.append(loop.time()), answers(*asked))[1]
        limits = {"messages": 3, "messages_per": 0.2, "streams_per_message": 8}
        async with (
            server.serving() as port,
            linked(port, sink, market=dialect("whole"), names=NAMES, **limits) as link,
        ):
            await until(lambda: set(link.streams) == set(STREAMS) - bad == server.streams)

    asyncio.run(run())
    # Half the window: the machine may delay one message more than the next.
    assert max(sum(begin <= at < begin + 0.1 for at in times) for begin in times) <= 3
    assert len(times) <= 1 + 2 * 3 * 3, "as many as halving three times for each"
