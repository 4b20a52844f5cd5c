"""Faults of connections: cut, half open, refused, at the end of their life, or slow."""

from typing import Annotated, Literal

from msgspec import Meta
from starlette.responses import Response

from simulator.dialect import Frames
from simulator.faults.fault import SOCKETS, Effect, Fault, Stage
from simulator.faults.transport import Strangled
from simulator.framing import encoded
from simulator.interference import Line

_CUT_WITHIN = 1.0
"""Seconds that a cut inside a frame waits for a frame."""


class Drop(Fault, frozen=True, kw_only=True):
    """Cut websockets, all at once: by a TCP reset, by a close frame, or inside the next frame that is sent."""

    filters = SOCKETS
    lasting = False
    default = _CUT_WITHIN

    how: Literal["reset", "close", "mid_frame"] = "reset"
    code: Annotated[int, Meta(ge=1000, le=4999)] = 1012
    reason: Annotated[str, Meta(max_length=100)] = "service restart"

    def begin(self, stage: Stage) -> Effect | None:  # noqa: D102 - said above
        lines = stage.targets()
        if self.how == "mid_frame":
            return _Tearing(stage, lines)
        for line in lines:
            if self.how == "reset":
                line.protocol.drop()
            else:
                line.protocol.end(self.code, self.reason)
        return None


class _Tearing(Effect):
    def __init__(self, stage: Stage, lines: list[Line]) -> None:
        self.stage = stage
        self.waiting = {line.id: line for line in lines}

    def frames(self, line: Line, frames: Frames) -> Frames:
        if self.waiting.pop(line.id, None) is None:
            return frames
        whole, last = encoded(frames[:-1]), encoded(frames[-1:])
        line.protocol.tear(whole + last[: self.stage.random.randrange(1, len(last))])
        self.stage.entry.frames += 1
        self.over = not self.waiting
        return ()

    def finish(self) -> None:
        for line in self.waiting.values():
            line.protocol.drop()


class HalfOpen(Fault, frozen=True, kw_only=True):
    """Keep websockets open, but let nothing come any more, not even what answers; ``pongs`` still come if wanted.

    Those that are open are hit, and with ``opened`` those that are opened meanwhile, too. Without ``for`` the socket
    stays so until it is closed.
    """

    filters = SOCKETS

    pongs: bool = False
    opened: bool = False

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Strangling(stage, 0.0, self.pongs, self.opened)


class SlowDrip(Fault, frozen=True, kw_only=True):
    """Let the bytes of open websockets come ``rate`` a second only; what waits comes at once in the end."""

    filters = SOCKETS

    rate: Annotated[float, Meta(gt=0)] = 200.0
    opened: bool = False

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Strangling(stage, self.rate, True, self.opened)


class _Strangling(Effect):
    def __init__(self, stage: Stage, rate: float, pongs: bool, opened: bool) -> None:
        self.stage, self.rate, self.pongs, self.opened = stage, rate, pongs, opened
        self.transports = [self._strangled(line) for line in stage.targets()]

    def joined(self, line: Line) -> None:
        if self.opened:
            self.stage.entry.hit(line)
            self.transports.append(self._strangled(line))

    def frames(self, line: Line, frames: Frames) -> Frames:
        self.stage.entry.hit(line, len(frames) if isinstance(line.protocol.transport, Strangled) else 0)
        return frames

    def tick(self, now: float) -> None:
        for one in self.transports:
            one.drip(now)
        self.over = not self.opened and all(one.is_closing() for one in self.transports)

    def finish(self) -> None:
        for one in self.transports:
            one.release()

    def _strangled(self, line: Line) -> Strangled:
        one = Strangled(line.protocol.transport, self.rate, self.pongs)
        line.protocol.transport = one
        return one


class Cut24h(Fault, frozen=True, kw_only=True):
    """End websockets as the venue does after 24 hours: announced in its own words, if it has any, or not at all."""

    filters = SOCKETS
    lasting = False

    announced: bool = True
    notice: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """Seconds between the announcement and the end."""

    def begin(self, stage: Stage) -> Effect | None:  # noqa: D102
        lines = stage.targets()
        if self.announced:
            for line in lines:
                line.announce()
            return _Ending(lines, self.notice)
        for line in lines:
            line.expire()
        return None


class _Ending(Effect):
    def __init__(self, lines: list[Line], notice: float) -> None:
        self.lines, self.notice = lines, notice
        self.due: float | None = None

    def tick(self, now: float) -> None:
        self.due = now + self.notice if self.due is None else self.due
        if now >= self.due:
            for line in self.lines:
                line.expire()
            self.over = True


class RefuseConnect(Fault, frozen=True, kw_only=True):
    """Let nobody open a websocket: answer the handshake with ``status``, and ``retry_after`` seconds if given."""

    filters = frozenset({"connections"})

    status: Annotated[int, Meta(ge=400, le=599)] = 503
    retry_after: Annotated[int, Meta(ge=0)] | None = None

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Refusing(self, stage)


class _Refusing(Effect):
    def __init__(self, fault: RefuseConnect, stage: Stage) -> None:
        self.fault, self.stage = fault, stage

    def denial(self) -> Response | None:
        self.stage.entry.denied += 1
        after = self.fault.retry_after
        return Response("no", self.fault.status, {} if after is None else {"Retry-After": str(after)})
