"""One client's websocket: the streams that it has, and what it asks for.

Source: binance-spot-api-docs web-socket-streams.md, "Live Subscribing/Unsubscribing to streams", and its errors.
"""

import time
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from simulator.binance.broadcast import Broadcast
from simulator.binance.events import Form
from simulator.binance.framing import unframed
from simulator.binance.protocol import BatchingProtocol
from simulator.binance.streams import Route, Stream, find, speaks
from simulator.dialect import Frames
from simulator.exchange import SimulatedExchange
from simulator.framing import encoded
from simulator.interference import Interference, Told

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_POLICY = 1008
"""The websocket's code for who breaks the rules."""
_GOING_AWAY = 1001


class _Wrong(Exception):  # noqa: N818 - an answer, not a failure of ours
    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


class Session:
    """Hold one websocket's subscriptions and answer its requests; a `simulator.binance.broadcast.Listener`."""

    def __init__(
        self,
        exchange: SimulatedExchange,
        broadcast: Broadcast,
        protocol: BatchingProtocol,
        futures: bool,
        route: Route,
        form: Form,
        path: str,
        interference: Interference,
    ) -> None:
        self.exchange, self.broadcast, self.protocol = exchange, broadcast, protocol
        self.futures, self.route, self.form = futures, route, form
        self.id, self.path, self.interference = str(uuid.uuid4()), path, interference
        self.speaks = speaks(futures)
        self.streams: frozenset[Stream] = frozenset()
        self._names: dict[str, Stream | None] = {}
        self._recent: deque[float] = deque()
        self._messages = exchange.rules.of(futures).messages

    @property
    def instruments(self) -> set[str]:
        """Give the instruments of which it is told something, by name."""
        return {stream.market.instrument.name for stream in self.streams}

    def take(self, frames: bytes) -> None:
        """Write frames to the client; cut it off where it does not read."""
        if not self.protocol.write_frames(frames, self.exchange.rules.unread):
            self.exchange.figures.cut += 1

    def tell(self, told: Iterable[Told]) -> None:
        """Send what is told on streams, or what interference makes of it."""
        self.send([frame for one in told for frame in self.interference.told(self, one)])

    def send(self, frames: Frames) -> None:
        """Send frames, or what interference makes of them."""
        if frames and (frames := self.interference.frames(self, frames)):
            self.write(frames)

    def write(self, frames: Frames) -> None:
        """Write frames to the client as they are; cut it off where it does not read."""
        self.take(encoded(frames))

    def subscribe(self, names: Sequence[str]) -> bool:
        """Take streams in; False where they would be too many."""
        with self.interference.hearing(self):
            known = self._names | {name: find(self.exchange, self.futures, self.route, name) for name in names}
        if len(known) > self.exchange.rules.streams:
            return False
        self._set(known)
        return True

    def count(self) -> None:
        """Count a message of the client; end the connection where it sends too many a second."""
        now, recent = time.monotonic(), self._recent
        recent.append(now)
        while recent[0] <= now - 1.0:
            recent.popleft()
        if len(recent) > self._messages:
            self.protocol.end(_POLICY, "Too many requests")

    def receive(self, text: str | bytes) -> None:
        """Answer one message of the client."""
        self.count()
        if self.protocol.is_open:
            self.send([msgspec.json.encode(self._answer(text)).decode()])

    def announce(self) -> None:
        """Say that the connection will be closed."""
        body = f'{{"e":"serverShutdown","E":{self.form.time(self.exchange.venue_now())}}}'
        self.send([unframed(self.form.frame("!serverShutdown", body))])

    def expire(self) -> None:
        """Close the connection because it is old."""
        self.protocol.end(_GOING_AWAY, "connection reached the end of its lifetime")

    def _answer(self, text: str | bytes) -> dict[str, Any]:
        try:
            message = msgspec.json.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            return {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}
        number = message.get("id") if isinstance(message, dict) else None
        try:
            return {"result": self._result(message), "id": number}
        except _Wrong as wrong:
            return {"code": wrong.code, "msg": wrong.words, "id": number if _is_id(number) else None}

    def _result(self, message: object) -> Any:
        if not isinstance(message, dict):
            raise _Wrong(2, "Invalid request: expected an object")
        if not _is_id(message.get("id")):
            raise _Wrong(2, "Invalid request: request ID must be an unsigned integer")
        method, params = message.get("method"), message.get("params", [])
        if method is None:
            raise _Wrong(2, "Invalid request: missing field `method`")
        if method not in _METHODS:
            listed = ", ".join(f"`{name}`" for name in _METHODS)
            raise _Wrong(2, f"Invalid request: unknown variant `{str(method)[:40]}`, expected one of {listed}")
        if not isinstance(params, list):
            raise _Wrong(2, "Invalid request: params must be an array")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._names)
        if method.endswith("PROPERTY"):
            return self._property(method, params)
        return self._change(method, params)

    def _change(self, method: str, params: list[Any]) -> None:
        if not params or not all(isinstance(name, str) and 0 < len(name) <= 100 for name in params):
            raise _Wrong(2, "Invalid request: params must be stream names")
        if method == "UNSUBSCRIBE":
            self._set({name: stream for name, stream in self._names.items() if name not in set(params)})
        elif not self.subscribe(params):
            raise _Wrong(2, f"Invalid request: more than {self.exchange.rules.streams} streams")

    def _property(self, method: str, params: list[Any]) -> bool | None:
        if not params or not isinstance(params[0], str):
            raise _Wrong(2, "Invalid request: property name must be a string")
        if len(params) > (1 if method == "GET_PROPERTY" else 2):
            raise _Wrong(2, "Invalid request: too many parameters")
        if params[0] != "combined":
            raise _Wrong(0, "Unknown property")
        if method == "GET_PROPERTY":
            return self.form.combined
        if len(params) < 2 or not isinstance(params[1], bool):
            raise _Wrong(1, "Invalid value type: expected Boolean")
        self.form = Form(params[1], self.form.micro)
        self.broadcast.changed()
        return None

    def _set(self, names: dict[str, Stream | None]) -> None:
        self._names = names
        self.streams = frozenset(stream for stream in names.values() if stream is not None)
        self.broadcast.changed()


def _is_id(number: object) -> bool:
    if isinstance(number, str):
        return len(number) <= 36
    return number is None or (isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**63)
