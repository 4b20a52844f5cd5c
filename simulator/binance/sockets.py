"""The websocket half: the addresses of both markets, and the life of a connection."""

import asyncio
from functools import partial
from urllib.parse import unquote

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from simulator.binance.broadcast import Broadcast
from simulator.binance.events import Form
from simulator.binance.protocol import BatchingProtocol
from simulator.binance.session import Session
from simulator.binance.streams import Route, speaks
from simulator.binance.weights import Weights
from simulator.exchange import SimulatedExchange
from simulator.interference import Interference, Undisturbed


class Sockets:
    """Serve the websockets of an exchange; `sessions` are those that are open."""

    def __init__(
        self,
        exchange: SimulatedExchange,
        broadcast: Broadcast,
        spot: Weights,
        usdm: Weights,
        interference: Interference | None = None,
    ) -> None:
        self.exchange, self.broadcast, self.interference = exchange, broadcast, interference or Undisturbed()
        self.sessions: set[Session] = set()
        self._weights = {False: spot, True: usdm}

    def routes(self) -> list[WebSocketRoute]:
        """Give the addresses: spot below the root, USD-M below its routes."""
        both: list[tuple[str, bool, Route]] = [
            ("", False, ""),
            ("/public", True, "public"),
            ("/market", True, "market"),
        ]
        return [
            WebSocketRoute(below + path, partial(self._serve, futures=futures, route=route))
            for below, futures, route in both
            for path in ("/ws", "/ws/{streams:path}", "/stream")
        ]

    def drop(self) -> int:
        """Cut all connections as a failing network does; give how many."""
        for session in self.sessions:
            session.protocol.drop()
        return len(self.sessions)

    async def _serve(self, websocket: WebSocket, *, futures: bool, route: Route) -> None:
        rules, figures = self.exchange.rules, self.exchange.figures
        address = websocket.client.host if websocket.client else ""
        if not self._weights[futures].connects(address):
            figures.refused += 1
            await websocket.send_denial_response(Response("Too many connection attempts.", 429))
            return
        path = websocket.url.path
        if (denial := self.interference.denial(speaks(futures), path)) is not None:
            figures.refused += 1
            await websocket.send_denial_response(denial)
            return
        protocol, form = BatchingProtocol.of(websocket), _form(websocket, futures)
        session = Session(self.exchange, self.broadcast, protocol, futures, route, form, path, self.interference)
        if not session.subscribe(_named(websocket)):
            await websocket.send_denial_response(Response(f"More than {rules.streams} streams.", 400))
            return
        bears = rules.of(futures)
        protocol.keep_alive(bears.ping_interval, bears.ping_timeout)
        protocol.on_control = session.count
        await websocket.accept()
        await self._live(websocket, session)

    async def _live(self, websocket: WebSocket, session: Session) -> None:
        rules, figures, loop = self.exchange.rules, self.exchange.figures, asyncio.get_running_loop()
        timers = (
            loop.call_later(max(0.0, rules.lifetime - rules.notice), session.announce),
            loop.call_later(rules.lifetime, session.expire),
        )
        self.sessions.add(session)
        self.broadcast.join(session)
        self.interference.joined(session)
        figures.connected += 1
        figures.open += 1
        try:
            while True:
                message = await websocket.receive()
                if message["type"] != "websocket.receive":
                    break
                session.receive(message.get("text") or message.get("bytes") or b"")
        except WebSocketDisconnect:
            pass
        finally:
            figures.open -= 1
            self.interference.left(session)
            self.broadcast.leave(session)
            self.sessions.discard(session)
            session.protocol.on_control = None
            for timer in timers:
                timer.cancel()


def _form(websocket: WebSocket, futures: bool) -> Form:
    unit = websocket.query_params.get("timeUnit", "").upper()
    return Form(websocket.url.path.endswith("/stream"), unit == "MICROSECOND" and not futures)


def _named(websocket: WebSocket) -> list[str]:
    names = websocket.query_params.get("streams") or websocket.path_params.get("streams", "")
    return [name for name in unquote(names).split("/") if name]
