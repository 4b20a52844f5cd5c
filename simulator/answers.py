"""The REST half of all dialects: limits by address, answers as JSON, and the one way out for every response."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import TidemillError
from core.timeframes import SECOND
from simulator.dialect import Dialect
from simulator.endpoint import Asked, Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.interference import Interference


class _Spent:
    def __init__(self) -> None:
        self.requests: deque[float] = deque()
        self.banned_until = 0.0


class Answers:
    """Serve the REST requests of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect, self.exchange = dialect, dialect.exchange
        self._spent: dict[tuple[str, str], _Spent] = {}

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [Route(one.path, partial(self._answer, endpoint=one)) for one in self.dialect.endpoints()]

    async def _answer(self, request: Request, *, endpoint: Endpoint) -> Response:
        figures = self.exchange.figures
        figures.requests += 1
        asked = Asked(self.exchange, request.query_params, request.path_params, self.exchange.now())
        try:
            self._count(endpoint, request.client.host if request.client else "")
            return _json(endpoint.answer(asked), 200, dict(endpoint.headers))
        except Refusal as refusal:
            figures.refused += 1
            return _json(refusal.body, refusal.status, refusal.headers)
        except TidemillError as error:
            figures.refused += 1
            return _json({"error": str(error)}, 500, {})

    def _count(self, endpoint: Endpoint, address: str) -> None:
        now, ban = time.monotonic(), self.dialect.manners.ban
        spent = self._spent.setdefault((endpoint.group or endpoint.path, address), _Spent())
        if now < spent.banned_until:
            raise self.dialect.over_limit(endpoint, spent.banned_until - now)
        requests = spent.requests
        while requests and requests[0] <= now - endpoint.per:
            requests.popleft()
        if len(requests) >= endpoint.requests:
            spent.banned_until = now + ban
            raise self.dialect.over_limit(endpoint, ban or requests[0] + endpoint.per - now)
        requests.append(now)


class Outlet:
    """Let every response to REST pass interference, dated by the exchange's clock; a middleware of the server.

    The controls below ``/tidemill`` are not part of the exchange: nothing disturbs them.
    """

    def __init__(self, app: ASGIApp, exchange: SimulatedExchange, interference: Interference) -> None:
        self.app, self.exchange, self.interference = app, exchange, interference

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - said above
        if scope["type"] != "http" or scope["path"].startswith("/tidemill/"):
            await self.app(scope, receive, send)
            return
        response = await _held(self.app, scope, receive)
        response = await self.interference.answer(Request(scope, receive), response)
        response.headers["date"] = formatdate(self.exchange.venue_now() / SECOND, usegmt=True)
        await response(scope, receive, send)


async def _held(app: Callable[[Scope, Receive, Send], Awaitable[None]], scope: Scope, receive: Receive) -> Response:
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def hold(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await app(scope, receive, hold)
    response = Response(b"".join(parts), start["status"])
    response.raw_headers = list(start["headers"])
    return response


def _json(content: Any, status: int, headers: dict[str, str]) -> Response:
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(body, status, headers, "application/json")
