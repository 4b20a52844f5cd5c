"""The names of Binance's streams, and which of them a connection can have.

Sources: binance-spot-api-docs web-socket-streams.md; for USD-M the routes in force since 2026-04-23.
"""

import re
from dataclasses import dataclass
from typing import Literal

from core.timeframes import TIMEFRAMES
from simulator.binance.market import Market
from simulator.exchange import SimulatedExchange

Kind = Literal[
    "trade", "aggTrade", "bookTicker", "kline", "depth", "partialDepth", "ticker", "miniTicker", "markPrice"
]
Route = Literal["", "public", "market"]

_NAME = re.compile(r"([a-z0-9_]{1,30})@([a-zA-Z]+)([0-9]*)(?:_([0-9]{1,2}[a-zA-Z]))?(?:@([0-9]{1,3}m?s))?")
_PLAIN: dict[str, tuple[Kind, float]] = {
    "trade": ("trade", 0.0),
    "aggTrade": ("aggTrade", 0.0),
    "bookTicker": ("bookTicker", 0.0),
    "ticker": ("ticker", 1.0),
    "miniTicker": ("miniTicker", 1.0),
}
_PUBLIC = {"trade", "bookTicker", "depth", "partialDepth"}
_SPEEDS = {"100ms": 0.1, "250ms": 0.25, "500ms": 0.5, "1000ms": 1.0, "1s": 1.0, "3s": 3.0}


@dataclass(frozen=True, slots=True)
class Stream:
    """Describe one stream that brings something; ``every`` is in seconds, 0 for what comes with each trade."""

    name: str
    kind: Kind
    market: Market
    every: float = 0.0
    interval: str = ""
    levels: int = 0


def find(exchange: SimulatedExchange, futures: bool, route: Route, name: str) -> Stream | None:
    """Give the stream of a name, None for one that stays silent.

    The venue acknowledges every name, also one that it does not know or that belongs to another route.
    """
    match = _NAME.fullmatch(name)
    market = exchange.market(futures, match[1].upper()) if match else None
    if match is None or market is None:
        return None
    stream = _stream(name, market, match[2], match[3], match[4] or "", match[5] or "")
    if stream is not None and futures and (stream.kind in _PUBLIC) != (route == "public"):
        return None
    return stream


def speaks(futures: bool) -> str:
    """Give the name of one of the two markets as a dialect."""
    return "binance-usdm" if futures else "binance"


def _stream(name: str, market: Market, kind: str, levels: str, interval: str, speed: str) -> Stream | None:
    if kind == "kline":
        plain = not levels and not speed and interval in TIMEFRAMES and not (market.futures and interval == "1s")
        every = 0.25 if market.futures else 1.0 if interval == "1s" else 2.0
        return Stream(name, "kline", market, every, interval) if plain else None
    if interval or speed not in {"", *_SPEEDS}:
        return None
    if kind == "depth":
        every = _SPEEDS[speed] if speed else 0.25 if market.futures else 1.0
        if not levels:
            return Stream(name, "depth", market, every)
        return Stream(name, "partialDepth", market, every, "", int(levels)) if levels in {"5", "10", "20"} else None
    if levels:
        return None
    if kind == "markPrice" and market.futures:
        return Stream(name, "markPrice", market, _SPEEDS[speed] if speed else 3.0)
    if speed:
        return None
    if kind not in _PLAIN:
        return None
    known, seconds = _PLAIN[kind]
    return Stream(name, known, market, seconds)
