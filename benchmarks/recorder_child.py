"""The processes of the recorder's benchmark: `python -m benchmarks.recorder_child send|record|bare …`.

``send`` serves numbered trades of one instrument over a bare socket, as fast as it can or at a rate; ``record``
records them; ``bare`` receives and decodes them, and keeps nothing. The receivers answer each line on their standard
input with the CPU seconds that they have used.
"""

import asyncio
import json
import logging
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import structlog
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from core.settings import FeedSettings, Settings
from dataflows.recorder.component import RecorderComponent

FEED = "bench"
CHUNK = 500
STEPS = 1000
"""How often a second the paced sender sends."""

_UNSENT = 4 * 1024 * 1024


class Trade(msgspec.Struct):
    t: int
    p: str
    q: str
    T: int


class Message(msgspec.Struct):
    data: Trade


def frames(first: int, count: int) -> bytes:
    """Give trades as the venue writes them, each as an unmasked websocket frame."""
    out, now = bytearray(), time.time_ns() // 1_000_000
    for number in range(first, first + count):
        payload = (
            f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{now},"s":"BTCUSDT","t":{number},'
            f'"p":"{60_000 + number % 100}.01000000","q":"0.00100000","T":{now},"m":true,"M":true}}}}'
        ).encode()
        out += b"\x81\x7e" + len(payload).to_bytes(2) + payload
    return bytes(out)


class Sender:
    """Send ``count`` trades once somebody has subscribed and a line has come; answer REST with an empty past."""

    def __init__(self, count: int, rate: int) -> None:
        self._count, self._rate = count, rate
        self._subscribed: asyncio.Future[ServerConnection]

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._subscribed = loop.create_future()
        prepared = [] if self._rate else [frames(at, CHUNK) for at in range(1, self._count + 1, CHUNK)]
        options = {"compression": None, "ping_interval": None, "process_request": self._answer}
        async with serve(self._talk, "127.0.0.1", 0, **options) as server:
            tell(server.sockets[0].getsockname()[1])
            transport = (await self._subscribed).transport
            tell("subscribed")
            await loop.run_in_executor(None, sys.stdin.readline)
            tell(time.monotonic())
            await (self._paced(transport) if self._rate else self._flood(transport, prepared))
            await loop.run_in_executor(None, sys.stdin.readline)

    async def _flood(self, transport: asyncio.Transport, prepared: list[bytes]) -> None:
        for chunk in prepared:
            transport.write(chunk)
            while transport.get_write_buffer_size() > _UNSENT:
                await asyncio.sleep(0.001)

    async def _paced(self, transport: asyncio.Transport) -> None:
        began, sent = time.monotonic(), 0
        while sent < self._count:
            due = min(int((time.monotonic() - began) * self._rate), self._count)
            if due > sent:
                transport.write(frames(sent + 1, due - sent))
                sent = due
            await asyncio.sleep(1 / STEPS)

    async def _talk(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(json.dumps({"result": None, "id": json.loads(message)["id"]}))
                if not self._subscribed.done():
                    self._subscribed.set_result(connection)

    async def _answer(self, connection: ServerConnection, request):
        path = urlsplit(request.path).path
        if not path.startswith("/api/"):
            return None
        told = {"time": {"serverTime": time.time_ns() // 1_000_000}, "exchangeInfo": {"symbols": []}}
        return connection.respond(200, json.dumps(told.get(path.rsplit("/", 1)[1], [])))


def record(url: str, data: str, count: int) -> None:
    """Record until a line says to stop."""
    feed = FeedSettings(
        name=FEED,
        venue="simulated",
        instruments=("simulated:BTC-USDT",),
        websocket_url=f"ws://{url}",
        rest_url=f"http://{url}",
        history_minutes=0,
    )
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stop = threading.Event()
    threading.Thread(target=answer_lines, args=(stop,), daemon=True).start()
    RecorderComponent(Settings(data=Path(data), feeds=(feed,)), CollectorRegistry()).run(stop, lambda: None)


async def bare(url: str, count: int) -> None:
    """Receive and decode; tell when the last trade has come."""
    stop = threading.Event()
    decode = msgspec.json.Decoder(Message).decode
    async with connect(f"ws://{url}/stream", compression=None, max_queue=None) as connection:
        await connection.send(json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}))
        await connection.recv()
        threading.Thread(target=answer_lines, args=(stop,), daemon=True).start()
        last = 0
        while last < count:
            last = decode(await connection.recv(decode=False)).data.t
        tell(time.monotonic())
        await asyncio.to_thread(stop.wait)


def answer_lines(stop: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        tell(time.process_time())
    stop.set()


def tell(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    if role == "send":
        # It has words for every connection that ends before it has begun.
        logging.getLogger("websockets").setLevel(logging.CRITICAL)
        asyncio.run(Sender(int(arguments[0]), int(arguments[1])).run())
    elif role == "record":
        record(arguments[0], arguments[1], int(arguments[2]))
    else:
        asyncio.run(bare(arguments[0], int(arguments[1])))
