"""A process of the latency benchmark: `python -m benchmarks.latency_child server|client|recorder|market …`.

Each notes times of one clock (CLOCK_MONOTONIC, the same in all processes) under "SYMBOL START", a candle by its
symbol and its start in seconds, and prints them as JSON when a line comes in.
"""

import asyncio
import contextlib
import json
import sys
import threading
import time
from pathlib import Path

from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websocket_server
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from benchmarks.latency import RATE, settings_of, symbol_base
from core.signals import Signal
from core.timeframes import SECOND
from dataflows.ledger_sink import LedgerPartition
from dataflows.live import MarketComponent
from dataflows.recorder.component import RecorderComponent
from dataflows.watch import Watch
from simulator.wire import payload

_STEP = 0.002
_LATENESS = SECOND // 2


def told(noted: dict[str, float]) -> None:
    sys.stdin.readline()
    sys.stdout.write(json.dumps(noted) + "\n")
    sys.stdout.flush()


async def send(connection: ServerConnection, seconds: float, symbols: int, noted: dict[str, float]) -> None:
    """Send trades at the rate, a few every two milliseconds; note the frame that closes each candle."""
    await connection.recv()
    await connection.send('{"result":null,"id":1}')
    began, count = time.monotonic(), 0
    ids = [1] * symbols
    closed: dict[int, int] = {}
    while (passed := time.monotonic() - began) < seconds:
        while count < passed * RATE:
            number = count % symbols
            now = time.time_ns() // 1_000_000 * 1_000
            symbol = f"{symbol_base(number)}USDT"
            price = 100.0 + 5 * (now // SECOND % 2) + count % 7 / 100
            frame = payload(symbol, ids[number], price, 1.0, now, 1, now).decode()
            passing = (now - _LATENESS) // SECOND - 1
            if closed.get(number, passing) < passing:
                noted[f"{symbol} {passing}"] = time.monotonic()
            closed[number] = passing
            await connection.send(frame)
            ids[number] += 1
            count += 1
        await asyncio.sleep(_STEP)


async def server(seconds: float, symbols: int, noted: dict[str, float]) -> None:
    async def handle(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await send(connection, seconds, symbols, noted)

    def rest(connection: ServerConnection, request: Request) -> Response | None:
        """Answer REST with nothing: there is no past."""
        if not request.path.startswith("/api"):
            return None
        found = {"serverTime": time.time_ns() // 1_000_000} if request.path.endswith("time") else []
        return connection.respond(200, json.dumps(found))

    async with websocket_server(handle, "127.0.0.1", 0, compression=None, process_request=rest) as listening:
        print(listening.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(told, noted)


async def client(port: str, noted: dict[str, float]) -> None:
    """Note when the frame arrives that closes each candle."""
    closed: dict[str, int] = {}

    async def receive() -> None:
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:
            await connection.send("{}")
            async for frame in connection:
                at = time.monotonic()
                data = json.loads(frame).get("data")
                if data is None:
                    continue
                symbol, passing = data["s"], (data["T"] * 1_000 - _LATENESS) // SECOND - 1
                if closed.get(symbol, passing) < passing:
                    noted[f"{symbol} {passing}"] = at
                closed[symbol] = passing

    task = asyncio.create_task(receive())
    await asyncio.to_thread(told, noted)
    task.cancel()


def watched(noted: dict[str, float]) -> None:
    """Note when signals are computed, and when they are committed."""
    deciding, write = Watch.deciding, LedgerPartition.write

    def note(what: str, signals: list) -> None:
        at = time.monotonic()
        for signal in signals:
            symbol = signal.instrument.split(":")[1].replace("-", "")
            noted.setdefault(f"{what} {symbol} {signal.start // SECOND}", at)

    def computed(self: Watch, decide):
        step = deciding(self, decide)

        def noting(state, advanced):
            after, outcomes = step(state, advanced)
            note("computed", [one for one in outcomes if isinstance(one, Signal)])
            return after, outcomes

        return noting

    def committed(self: LedgerPartition, items: list) -> None:
        write(self, items)
        note("committed", [one for one in items if isinstance(one, Signal)])

    Watch.deciding, LedgerPartition.write = computed, committed


def component(role: str, data: Path, port: int, symbols: int) -> None:
    noted: dict[str, float] = {}
    settings, stop = settings_of(data, port, symbols), threading.Event()
    if role == "market":
        watched(noted)
        body = MarketComponent(settings, CollectorRegistry())
    else:
        body = RecorderComponent(settings, CollectorRegistry())

    def until_told() -> None:
        sys.stdin.readline()
        stop.set()

    threading.Thread(target=until_told, daemon=True).start()
    body.run(stop, lambda: print("ready", flush=True))
    print(json.dumps(noted), flush=True)


def main() -> None:
    role, *words = sys.argv[1:]
    noted: dict[str, float] = {}
    if role == "server":
        asyncio.run(server(float(words[0]), int(words[1]), noted))
    elif role == "client":
        asyncio.run(client(words[0], noted))
    else:
        component(role, Path(words[0]), int(words[1]), int(words[2]))


if __name__ == "__main__":
    main()
