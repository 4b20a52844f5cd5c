"""The exchange's own controls, for people and tests: what it does, pause, resume, seek, speed, disconnect, faults.

Times are µs since the epoch, UTC, on the tape. Only this machine may ask, and no web page.
"""

from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import UserError
from simulator.exchange import SimulatedExchange
from simulator.faults.engine import FaultEngine
from simulator.faults.library import shipped
from simulator.faults.scenario import Scenario


class Sending(Protocol):
    """Follow the clock; ``reached`` is the time of the tape up to which all was sent."""

    reached: int


class Connected(Protocol):
    """Hold websockets."""

    def drop(self) -> int:
        """Cut them all; give how many."""
        ...


class Admin:
    """Serve ``/tidemill/…``."""

    def __init__(
        self,
        exchange: SimulatedExchange,
        broadcasts: Sequence[Sending],
        sockets: Sequence[Connected],
        faults: FaultEngine | None = None,
    ) -> None:
        self.exchange, self.broadcasts, self.sockets, self.faults = exchange, broadcasts, sockets, faults

    def routes(self) -> list[Route]:
        """Give the routes."""
        commands = {
            "pause": self._pause,
            "resume": self._resume,
            "seek": self._seek,
            "speed": self._speed,
            "disconnect": self._disconnect,
        }
        return [
            Route("/tidemill/state", self._guarded(self._nothing, self.state), methods=["GET"]),
            *(
                Route(f"/tidemill/{name}", self._guarded(do, self.state), methods=["POST"])
                for name, do in commands.items()
            ),
            Route("/tidemill/faults", self._guarded(self._nothing, self._told_faults), methods=["GET"]),
            Route("/tidemill/faults", self._guarded(self._break, self._told_faults), methods=["POST"]),
        ]

    def state(self) -> dict[str, Any]:
        """Give the exchange's state; ``last_ids`` are those up to ``sent_through``, where the streams stand."""
        exchange, clock = self.exchange, self.exchange.clock
        reached = min(one.reached for one in self.broadcasts)
        tape = exchange.tape
        last = {one.name: tape.last(one.native, reached, 1).ids.tolist() for one in tape.instruments}
        now = exchange.now()
        return {
            "now": now,
            "venue_now": clock.venue(now),
            "sent_through": reached,
            "start": exchange.tape.start,
            "end": exchange.tape.end,
            "speed": clock.speed,
            "paused": clock.paused,
            "last_ids": {name: ids[0] if ids else None for name, ids in last.items()},
            "sent": dict(exchange.figures.sent),
            "faults": None if self.faults is None else self.faults.state(),
            "health": exchange.health(),
        }

    def _guarded(
        self, do: Callable[[dict[str, Any]], None], told: Callable[[], dict[str, Any]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            host = request.client.host if request.client else ""
            if "origin" in request.headers or not (host and ip_address(host).is_loopback):
                return _json({"error": "only programs on this machine may ask"}, 403)
            try:
                values = msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
                do(values)
                return _json(told(), 200)
            except (UserError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                return _json({"error": str(error)}, 400)

        return answer

    def _nothing(self, values: dict[str, Any]) -> None:
        pass

    def _engine(self) -> FaultEngine:
        if self.faults is None:
            raise UserError("this exchange cannot be broken: it was started with an interference of its own")
        return self.faults

    def _told_faults(self) -> dict[str, Any]:
        return self._engine().told_all()

    def _break(self, values: dict[str, Any]) -> None:
        engine, asked = self._engine(), values.get("scenario")
        if values == {"clear": True}:
            engine.clear()
        elif values.keys() != {"scenario"}:
            raise UserError('write {"scenario": a name or a scenario of your own} or {"clear": true}')
        else:
            engine.play(shipped(asked) if isinstance(asked, str) else Scenario.of(asked))

    def _pause(self, values: dict[str, Any]) -> None:
        self.exchange.clock.pause()

    def _resume(self, values: dict[str, Any]) -> None:
        self.exchange.clock.resume()

    def _seek(self, values: dict[str, Any]) -> None:
        time = values.get("time")
        if not isinstance(time, int) or time < self.exchange.tape.start:
            raise UserError(f'write {{"time": …}} in µs, not before the tape begins at {self.exchange.tape.start}')
        self.exchange.seek(time)

    def _speed(self, values: dict[str, Any]) -> None:
        speed = values.get("speed")
        if isinstance(speed, bool) or not isinstance(speed, int | float):
            raise UserError('write {"speed": …}: how many seconds of the market pass in one')
        self.exchange.clock.speed = speed

    def _disconnect(self, values: dict[str, Any]) -> None:
        for sockets in self.sockets:
            sockets.drop()


def _json(content: Any, status: int) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")
