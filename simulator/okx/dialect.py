"""OKX's websocket protocol, version 5: public and business.

Source: OKX API v5, "WebSocket", "Connect" and "Subscribe"; its error codes; exchanges.md, section 3.
"""

import time
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from core.candles import Candle
from core.trades import TradeBatch
from simulator.dialect import NOTHING, Connection, Dialect, Frames, Manners, Reaction
from simulator.endpoint import Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.framing import Frame
from simulator.okx import frames, rest
from simulator.okx.channels import BUSINESS, PUBLIC, Wrong, find
from simulator.topic import Mark, Quote, Topic

MANNERS = Manners(messages=100, messages_per=1, attempts=3, attempts_per=1)

_QUIET = 30.0
"""Seconds after which a connection without subscription, or without any message, is closed."""
_REQUESTS, _REQUESTS_PER = 480, 3600.0
_LONGEST = 64 * 1024
_NO_DATA = (4004, "No data received in 30s.")
_TOO_LONG = (1009, "Request message exceeds the maximum frame length")


class Okx(Dialect):
    """Talk as OKX does; see `simulator.dialect.Dialect`."""

    name = "okx"
    paths = (PUBLIC, BUSINESS)

    def __init__(self, exchange: SimulatedExchange, manners: Manners = MANNERS) -> None:
        super().__init__(exchange, manners)

    def heard(self, connection: Connection, message: Frame) -> Reaction:  # noqa: D102 - said by the contract
        if message in ("ping", b"ping"):
            return Reaction(["pong"])
        if len(message) > _LONGEST:
            return Reaction(close=_TOO_LONG)
        try:
            asked = msgspec.json.decode(message, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError):
            asked = {}
        number, op, args = asked.get("id"), asked.get("op"), asked.get("args")
        known = isinstance(op, str) and op in ("subscribe", "unsubscribe") and (number is None or _is_id(number))
        if not known or not isinstance(args, list) or not args:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            return Reaction([_error(connection, None, "60012", f"Illegal request: {text[:500]}")])
        if not _may_ask(connection):
            return Reaction([_error(connection, number, "60014", "Requests too frequent.")])
        return self._changed(connection, str(op), args, number)

    def timer(self, connection: Connection, now: float) -> Reaction:  # noqa: D102
        if connection.topics:
            connection.notes["bare"] = now
        quiet = now - max(connection.heard, connection.sent) > _QUIET
        bare = now - connection.notes.get("bare", connection.opened) > _QUIET
        return Reaction(close=_NO_DATA) if quiet or bare else NOTHING

    def notice(self, connection: Connection) -> Frames:  # noqa: D102
        words = (
            "The connection will soon be closed for a service upgrade. Please reconnect. "
            "This notice comes 60 seconds ahead."
        )
        return [_told({"event": "notice", "code": "64008", "msg": words, "connId": _connection(connection)})]

    def trades(self, topic: Topic, trades: TradeBatch, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return frames.merged(topic, trades) if topic.kind == "aggregate" else frames.fills(topic, trades)

    def kline(self, topic: Topic, candle: Candle, closed: bool, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return [frames.pushed(topic, [frames.candle_row(topic.market, candle, closed)])]

    def quote(self, topic: Topic, quote: Quote, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return [frames.best(topic, quote)]

    def mark_price(self, topic: Topic, mark: Mark, sent: int, snapshot: bool) -> Frames:  # noqa: D102
        return [frames.mark(topic, mark)]

    def endpoints(self) -> Sequence[Endpoint]:  # noqa: D102
        return rest.endpoints(self)

    def over_limit(self, endpoint: Endpoint, wait: float) -> Refusal:  # noqa: D102
        return rest.refusal("50011", "Too Many Requests", 429)

    def _changed(self, connection: Connection, op: str, args: list[Any], number: Any) -> Reaction:
        told: list[Frame] = []
        added: list[Topic] = []
        removed: list[Hashable] = []
        for arg in args:
            channel, symbol = _named(arg)
            found = find(self, connection.path, channel, symbol)
            if isinstance(found, Wrong):
                told.append(_error(connection, number, found.code, found.words))
                continue
            if op == "subscribe":
                added.append(found)
            else:
                removed.append(found.key)
            told.append(_told({**_id(number), "event": op, "arg": arg, "connId": _connection(connection)}))
        return Reaction(told, added, removed)


def _named(arg: Any) -> tuple[str, str]:
    if not isinstance(arg, dict):
        return "", ""
    return str(arg.get("channel", ""))[:64], str(arg.get("instId", ""))[:64]


def _may_ask(connection: Connection) -> bool:
    now, asked = time.monotonic(), connection.notes.setdefault("asked", deque())
    while asked and asked[0] <= now - _REQUESTS_PER:
        asked.popleft()
    if len(asked) >= _REQUESTS:
        return False
    asked.append(now)
    return True


def _is_id(number: Any) -> bool:
    return isinstance(number, str) and number.isalnum() and number.isascii() and len(number) <= 32


def _id(number: Any) -> dict[str, Any]:
    return {} if number is None else {"id": number}


def _error(connection: Connection, number: Any, code: str, words: str) -> str:
    return _told({**_id(number), "event": "error", "code": code, "msg": words, "connId": _connection(connection)})


def _connection(connection: Connection) -> str:
    return connection.id[:8]


def _told(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
