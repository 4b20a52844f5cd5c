"""The websockets of all dialects: their addresses, who may connect, and the life of a connection."""

import asyncio
import time
from collections import Counter, deque
from functools import partial

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulator.binance.protocol import BatchingProtocol
from simulator.broadcast import TopicBroadcast
from simulator.dialect import Dialect
from simulator.exchange import SimulatedExchange
from simulator.interference import Interference
from simulator.session import Session


class Connections:
    """Serve the websockets of dialects."""

    def __init__(self, exchange: SimulatedExchange, broadcast: TopicBroadcast, interference: Interference) -> None:
        self.exchange, self.broadcast, self.interference = exchange, broadcast, interference
        self._open: Counter[tuple[str, str]] = Counter()
        self._attempts: dict[tuple[str, str], deque[float]] = {}

    def routes(self, dialect: Dialect) -> list[WebSocketRoute]:
        """Give the addresses of a dialect."""
        return [WebSocketRoute(path, partial(self._serve, dialect=dialect)) for path in dialect.paths]

    def drop(self) -> int:
        """Cut all connections as a failing network does; give how many."""
        sessions = list(self.broadcast.sessions)
        for session in sessions:
            session.protocol.drop()
        return len(sessions)

    async def _serve(self, websocket: WebSocket, *, dialect: Dialect) -> None:
        figures = self.exchange.figures
        caller = dialect.name, websocket.client.host if websocket.client else ""
        if not self._may_connect(dialect, caller):
            figures.refused += 1
            await websocket.send_denial_response(Response("Too many connections.", dialect.manners.denied))
            return
        if (denial := self.interference.denial(dialect.name, websocket.url.path)) is not None:
            figures.refused += 1
            await websocket.send_denial_response(denial)
            return
        protocol = BatchingProtocol.of(websocket)
        broadcast, unread = self.broadcast, self.exchange.rules.unread
        path, interference = websocket.url.path, self.interference
        session = Session(dialect, protocol, path, broadcast.changed, interference, unread)
        # These venues wait for the client's pings, and send none.
        protocol.keep_alive(0, 0)
        protocol.on_control = session.count
        self._open[caller] += 1
        try:
            await websocket.accept()
            await self._live(websocket, session)
        finally:
            self._open[caller] -= 1

    def _may_connect(self, dialect: Dialect, caller: tuple[str, str]) -> bool:
        manners, now = dialect.manners, time.monotonic()
        attempts = self._attempts.setdefault(caller, deque())
        while attempts and attempts[0] <= now - manners.attempts_per:
            attempts.popleft()
        if len(attempts) >= manners.attempts:
            return False
        attempts.append(now)
        return not manners.connections or self._open[caller] < manners.connections

    async def _live(self, websocket: WebSocket, session: Session) -> None:
        manners, figures, loop = session.dialect.manners, self.exchange.figures, asyncio.get_running_loop()
        timers = (
            loop.call_later(max(0.0, manners.lifetime - manners.notice), session.announce),
            loop.call_later(manners.lifetime, session.expire),
        )
        self.broadcast.join(session)
        self.interference.joined(session)
        figures.connected += 1
        figures.open += 1
        try:
            session.open()
            while True:
                message = await websocket.receive()
                if message["type"] != "websocket.receive":
                    break
                session.receive(message.get("text") or message.get("bytes") or b"")
        except WebSocketDisconnect:
            pass
        finally:
            figures.open -= 1
            figures.cut += session.cut
            self.interference.left(session)
            self.broadcast.leave(session)
            session.protocol.on_control = None
            for timer in timers:
                timer.cancel()
