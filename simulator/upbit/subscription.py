"""Reading what a client of Upbit's websocket asks for: an array that replaces all that was asked before.

Source: docs.upbit.com, "WebSocket" (structure of requests, errors).
"""

from typing import Any

import msgspec
from msgspec import Struct

from simulator.framing import Frame
from simulator.upbit.names import CANDLES, FORMATS

_UNITS = (1, 5, 15, 30)
_MOST = 30


class Wrong(Exception):  # noqa: N818 - an answer, not a failure of ours
    """Refuse a request with the name of an error and its words."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(words)
        self.name, self.words = name, words


class Wish(Struct, frozen=True):
    """Name one stream that a client asked for, with all that changes how it looks.

    ``type`` is Upbit's (``trade``, ``orderbook``, ``candle.1m``), ``levels`` those of an order book.
    """

    type: str
    code: str
    levels: int
    form: str
    snapshot: bool
    realtime: bool


def read(message: Frame) -> list[Wish]:
    """Read a request; raise `Wrong` for what the venue refuses as a whole."""
    try:
        parts = msgspec.json.decode(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Wrong("WRONG_FORMAT", "the request is no JSON") from None
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise Wrong("WRONG_FORMAT", "the request is no array of objects")
    if not parts or not isinstance(parts[0].get("ticket"), str):
        raise Wrong("NO_TICKET", "the first object has no ticket")
    forms = [part["format"] for part in parts if "format" in part]
    form = forms[-1] if forms else "DEFAULT"
    if form not in FORMATS:
        raise Wrong("INVALID_PARAM", "there is no such format")
    wanted = [part for part in parts[1:] if "format" not in part]
    if not wanted:
        raise Wrong("NO_TYPE", "no object has a type")
    return [wish for part in wanted for wish in _wishes(part, form)]


def _wishes(part: dict[str, Any], form: str) -> list[Wish]:
    kind, codes = part.get("type"), part.get("codes")
    if not isinstance(kind, str):
        raise Wrong("NO_TYPE", "an object has no type")
    if kind not in ("trade", "orderbook", *CANDLES):
        raise Wrong("INVALID_PARAM", "there is no such type")
    if not isinstance(codes, list) or not codes:
        raise Wrong("NO_CODES", "an object has no codes")
    if not all(isinstance(code, str) for code in codes):
        raise Wrong("WRONG_FORMAT", "codes are no texts")
    only_snapshot = _flag(part, "is_only_snapshot", "isOnlySnapshot")
    only_realtime = _flag(part, "is_only_realtime", "isOnlyRealtime")
    return [_wish(kind, code, form, not only_realtime, not only_snapshot) for code in codes]


def _wish(kind: str, code: str, form: str, snapshot: bool, realtime: bool) -> Wish:
    levels = 0
    if kind == "orderbook":
        code, _, unit = code.partition(".")
        levels = int(unit) if unit.isdecimal() and int(unit) in _UNITS else _MOST
    return Wish(kind, code, levels, form, snapshot, realtime)


def _flag(part: dict[str, Any], *names: str) -> bool:
    return any(part.get(name) in (True, "true") for name in names)
