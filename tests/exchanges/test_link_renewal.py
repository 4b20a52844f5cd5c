"""One connection hands over to the next: every number that the server counts on all connections arrives."""

import asyncio
import contextlib
import json
import re

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

ID = re.compile(rb'"t":(\d+)')
SHUTDOWN = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'


class Counting:
    """Sends the next number on every subscribed connection, a subscription works after ``effect_after`` s."""

    def __init__(self, numbered, effect_after: float = 0.02) -> None:
        self.numbered, self.effect_after = numbered, effect_after
        self.subscribed, self.last, self.opened = {}, 0, 0
        self.goodbyes: list[int] = []
        self.silent: set[int] = set()

    async def handle(self, connection) -> None:
        self.opened += 1
        number = self.opened
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                asked = json.loads(message)
                await asyncio.sleep(self.effect_after)
                await connection.send(json.dumps({"result": None, "id": asked["id"]}))
                if number not in self.silent:
                    self.subscribed[connection] = number
        self.subscribed.pop(connection, None)
        self.goodbyes.append(connection.close_code)

    async def count(self) -> None:
        while True:
            self.last += 1
            frame = self.numbered(self.last).decode()
            for connection in list(self.subscribed):
                with contextlib.suppress(ConnectionClosed):
                    await connection.send(frame)
            await asyncio.sleep(0.001)

    @contextlib.asynccontextmanager
    async def serving(self):
        async with serve(self.handle, "127.0.0.1", 0, compression=None) as server:
            counting = asyncio.create_task(self.count())
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                counting.cancel()


def numbers(sink) -> list[int]:
    return [int(match[1]) for match in map(ID.search, sink.frames) if match]


def assert_without_holes(sink) -> None:
    seen = set(numbers(sink))
    assert seen == set(range(min(seen), max(seen) + 1))


def test_a_connection_is_renewed_before_its_life_ends_and_nothing_is_missed(linked, sink_type, numbered) -> None:
    sink, server = sink_type(), Counting(numbered)

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, lifetime=0.4) as link:
            await sink.until(lambda: sink.marks().count("resubscribed") >= 4)
            assert len(server.subscribed) <= 2
            assert link.health().state == "live"

    asyncio.run(run())
    assert set(sink.marks()[:-1]) == {"connected", "resubscribed"}
    assert sink.marks()[0] == "connected"
    assert sink.causes() == ["stopped"]
    assert_without_holes(sink)
    assert set(server.goodbyes) == {1000}


def test_an_announced_shutdown_is_gone_before(linked, sink_type, numbered) -> None:
    sink, server = sink_type(), Counting(numbered)

    async def run() -> None:
        async with server.serving() as port, linked(port, sink):
            await sink.until(lambda: len(sink.frames) > 20)
            (old,) = server.subscribed
            await old.send(SHUTDOWN)
            await sink.until(lambda: "resubscribed" in sink.marks())
            await sink.until(lambda: old not in server.subscribed)
            at = len(sink.frames)
            await sink.until(lambda: len(sink.frames) > at + 20)

    asyncio.run(run())
    assert sink.marks() == ["connected", "resubscribed", "lost"]
    assert SHUTDOWN.encode() in sink.frames
    assert_without_holes(sink)


def test_a_renewal_that_brings_no_data_does_not_cost_the_one_that_does(linked, sink_type, numbered) -> None:
    sink, server = sink_type(), Counting(numbered)
    server.silent = {2, 3}

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, lifetime=0.3, watch=(0.1, 5.0, 0.1)):
            await sink.until(lambda: "resubscribed" in sink.marks())

    asyncio.run(run())
    assert [mark for mark in sink.marks() if mark != "doubtful"] == ["connected", "resubscribed", "lost"]
    assert sink.marks().count("doubtful") == 2
    assert server.opened == 4
    assert_without_holes(sink)


def test_a_quiet_market_is_renewed_too(linked, sink_type, numbered) -> None:
    sink, server = sink_type(quiet=True), Counting(numbered)
    server.silent = set(range(1, 100))

    async def run() -> None:
        async with server.serving() as port, linked(port, sink, lifetime=0.3, watch=(0.1, 5.0, 0.1)):
            await sink.until(lambda: sink.marks().count("resubscribed") == 2)

    asyncio.run(run())
    assert "lost" not in sink.marks()[:-1]


def test_an_old_connection_that_dies_while_the_next_is_opened_is_lost_once(linked, sink_type, numbered) -> None:
    sink, server = sink_type(), Counting(numbered, effect_after=0.2)

    async def run() -> None:
        async with server.serving() as port, linked(port, sink):
            await sink.until(lambda: len(sink.frames) > 300)
            (old,) = server.subscribed
            await old.send(SHUTDOWN)
            async with asyncio.timeout(5):
                while server.opened < 2:
                    await asyncio.sleep(0.001)
            old.transport.abort()
            await sink.until(lambda: sink.marks().count("connected") == 2)
            at = len(sink.frames)
            await sink.until(lambda: len(sink.frames) > at + 20)
            assert server.opened == 2

    asyncio.run(run())
    assert sink.marks() == ["connected", "lost", "connected", "lost"]


@pytest.mark.parametrize("stop_after", [0.0, 0.3, 0.35, 0.4])
def test_stopping_at_any_moment_leaves_nothing_behind(linked, sink_type, numbered, stop_after) -> None:
    sink, server = sink_type(), Counting(numbered)

    async def run() -> None:
        before = asyncio.all_tasks()
        async with server.serving() as port:
            async with linked(port, sink, lifetime=0.3):
                await asyncio.sleep(stop_after)
            async with asyncio.timeout(5):
                while server.subscribed:
                    await asyncio.sleep(0.01)
            stopped = len(sink.frames)
            await asyncio.sleep(0.05)
            assert len(sink.frames) == stopped
        assert {task for task in asyncio.all_tasks() - before if "exchanges" in repr(task)} == set()

    asyncio.run(run())
    assert sink.marks().count("lost") == sink.marks().count("connected")
