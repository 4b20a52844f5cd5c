"""The simulator's server: REST and websockets of every dialect, and the controls, on one port."""

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from simulator.admin import Admin
from simulator.answers import Answers, Outlet
from simulator.binance import rest
from simulator.binance.broadcast import Broadcast
from simulator.binance.protocol import BatchingProtocol
from simulator.binance.sockets import Sockets
from simulator.binance.weights import Weights
from simulator.broadcast import TopicBroadcast
from simulator.connections import Connections
from simulator.dialect import Dialect
from simulator.dialects import every
from simulator.exchange import SimulatedExchange
from simulator.faults.engine import FaultEngine
from simulator.faults.scenario import Scenario
from simulator.interference import Interference, Undisturbed

_PATIENCE = 2
"""Seconds for requests that are still being answered when the server ends."""


def serve(
    exchange: SimulatedExchange,
    sockets: list[socket.socket],
    on_ready: Callable[[], None] = lambda: None,
    stop: threading.Event | None = None,
    dialects: Sequence[Dialect] | None = None,
    interference: Interference | None = None,
    scenario: Scenario | None = None,
) -> None:
    """Serve an exchange on bound sockets until SIGTERM or SIGINT (in the main thread), or until ``stop`` is set.

    Beside Binance's protocol it speaks ``dialects``, all that there are by default. All that is sent, and every
    answer to REST, passes ``interference``; by default the engine of faults, which plays ``scenario`` and what it is
    told by the controls. ``on_ready`` is called when requests are taken. The sockets are closed at the end. What the
    tape raises ends the server and is raised here.
    """
    spoken = every(exchange) if dialects is None else dialects
    faults = FaultEngine(exchange, spoken, scenario) if interference is None else None
    disturbing = interference or faults or Undisturbed()
    spot, usdm = Weights(exchange.rules, False), Weights(exchange.rules, True)
    broadcast, topics = Broadcast(exchange, disturbing), TopicBroadcast(exchange, disturbing)
    binance = Sockets(exchange, broadcast, spot, usdm, disturbing)
    others = Connections(exchange, topics, disturbing)
    controls = Admin(exchange, (broadcast, topics), (binance, others), faults)
    # Before Binance's: what is unknown below its /ws is its own.
    venues = [route for one in spoken for route in (*others.routes(one), *Answers(one).routes())]
    routes = [*venues, *rest.routes(exchange, spot, usdm), *binance.routes(), *controls.routes()]
    failed: list[BaseException] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(one.run()) for one in (broadcast, topics, disturbing)]
        for task in tasks:
            task.add_done_callback(lambda done: _notice(done, failed, server))
        yield
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait(tasks)

    outlet = Middleware(Outlet, exchange=exchange, interference=disturbing)
    config = uvicorn.Config(
        Starlette(routes=routes, lifespan=lifespan, middleware=[outlet]),
        loop="asyncio",
        http="h11",
        ws=BatchingProtocol,
        ws_max_size=1024 * 1024,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_PATIENCE,
    )
    server = _Server(config, on_ready, stop or threading.Event())
    for one in sockets:
        # Accepted sockets inherit it; asyncio sees to it only where the socket's protocol was named.
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.run(sockets)
    if failed:
        raise failed[0]


def _notice(task: "asyncio.Task[None]", failed: list[BaseException], server: "_Server") -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        failed.append(error)
        server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server, that ends by returning: its own raises the signal again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], stop: threading.Event) -> None:
        super().__init__(config)
        self._on_ready, self._stop = on_ready, stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            self.should_exit = True

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
