"""Faults of REST: pages of HTML, refusals, answers that take their time; and the venue's clock."""

import asyncio
from typing import Annotated, Literal

from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from simulator.faults.fault import Effect, Fault, Filter, Stage

_PATHS: frozenset[Filter] = frozenset({"paths"})
_PORTAL = """<!DOCTYPE html>
<html><head><title>Welcome</title></head>
<body><h1>Sign in to the network</h1><form action="/login"><input name="room"></form></body></html>
"""
_FORBIDDEN = """<!DOCTYPE html>
<html><head><title>403 Forbidden</title></head>
<body><h1>403 Forbidden</h1><p>The request could not be satisfied.</p></body></html>
"""


class Html(Fault, frozen=True, kw_only=True):
    """Answer REST with a page of HTML: a captive portal's with status 200, or a firewall's with 403."""

    filters = _PATHS

    status: Literal[200, 403] = 200

    def begin(self, stage: Stage) -> Effect:  # noqa: D102 - said above
        page = _PORTAL if self.status == 200 else _FORBIDDEN
        return _Answering(stage, page, self.status, "text/html", {})


class Status(Fault, frozen=True, kw_only=True):
    """Answer REST with a status, 429 for one, and with ``retry_after`` seconds if given."""

    filters = _PATHS

    status: Annotated[int, Meta(ge=400, le=599)] = 429
    retry_after: Annotated[int, Meta(ge=0)] | None = None

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return _Answering(stage, '{"code":-1,"msg":"refused"}', self.status, "application/json", headers)


class _Answering(Effect):
    def __init__(self, stage: Stage, body: str, status: int, kind: str, headers: dict[str, str]) -> None:
        self.stage, self.body, self.status, self.kind, self.headers = stage, body, status, kind, headers

    async def answer(self, request: Request, response: Response) -> Response:
        self.stage.entry.requests += 1
        return Response(self.body, self.status, self.headers, self.kind)


class SlowRest(Fault, frozen=True, kw_only=True):
    """Let REST take ``delay`` seconds longer."""

    filters = _PATHS

    delay: Annotated[float, Meta(gt=0, le=600)] = 5.0

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Slow(stage, self.delay)


class _Slow(Effect):
    def __init__(self, stage: Stage, delay: float) -> None:
        self.stage, self.delay = stage, delay

    async def answer(self, request: Request, response: Response) -> Response:
        self.stage.entry.requests += 1
        await asyncio.sleep(self.delay)
        return response


class ClockSkew(Fault, frozen=True, kw_only=True):
    """Set the venue's clock ``ms`` ahead (behind where negative), at one step, and back at the end.

    What it says the time is, and when it sends; not the times of trades and candles.
    """

    ms: Annotated[int, Meta(ge=-86_400_000, le=86_400_000)] = 5000

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Skewed(stage, self.ms * 1000)


class _Skewed(Effect):
    def __init__(self, stage: Stage, micros: int) -> None:
        self.exchange, self.micros = stage.exchange, micros
        self.exchange.skew += micros

    def finish(self) -> None:
        self.exchange.skew -= self.micros
