"""Addresses that are none, names that are not found, and what is not the TLS it should be."""

import asyncio
import contextlib

import pytest

from core.errors import TransientError, UserError
from exchanges.attempts import Attempts
from exchanges.link import Link, Watch
from exchanges.registry import venue
from exchanges.rest import Rest
from exchanges.venue import Connection

LIMITS = venue("binance").limits


def link_to(url: str, sink) -> Link:
    attempts = Attempts(LIMITS, base=0.01, cap=0.01)
    return Link(venue("binance"), Connection(url, (), ("btcusdt@trade",)), sink, attempts, Watch(1, 1))


async def failing_twice(link: Link) -> str:
    task = asyncio.create_task(link.run())
    async with asyncio.timeout(20):
        while link.health().failures < 2:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return link.health().cause


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "127.0.0.1:80", "ws://a:99999", "ws://a#b"])
def test_an_address_that_is_none_ends_the_link(sink_type, url) -> None:
    with pytest.raises(UserError, match="write ws"):
        asyncio.run(link_to(url, sink_type()).run())


@pytest.mark.parametrize("url", ["ws://nowhere.invalid/x", f"ws://{'a' * 70}.invalid/x"])
def test_a_name_that_is_not_found_is_tried_again(sink_type, url) -> None:
    sink = sink_type()
    assert asyncio.run(failing_twice(link_to(url, sink)))
    assert sink.events == []


@contextlib.asynccontextmanager
async def plain_server():
    async def answer(reader, writer) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def test_what_speaks_no_tls_is_never_spoken_to_without(sink_type) -> None:
    async def run() -> None:
        async with plain_server() as port:
            assert "SSL" in await failing_twice(link_to(f"wss://127.0.0.1:{port}/stream", sink_type()))
            rest = Rest(venue("binance", rest_url=f"https://127.0.0.1:{port}"))
            with pytest.raises(TransientError, match="SSL"):
                await rest.get(venue("binance").time_request())
            await rest.close()

    asyncio.run(run())
