"""Binance's stream names, and which events may come on which stream.

Sources: binance-spot-api-docs web-socket-streams.md; the USD-M streams as binance-connector-python names them.
"""

import re

from core.errors import MalformedFrame

PARTIAL_DEPTH = "partialDepth"
"""Our name for spot's ``{"lastUpdateId", "bids", "asks"}``, which has no ``e``."""

_EVENTS: dict[str, frozenset[str]] = {
    "trade": frozenset({"trade"}),
    "aggTrade": frozenset({"aggTrade"}),
    "bookTicker": frozenset({"bookTicker"}),
    "kline": frozenset({"kline"}),
    "serverShutdown": frozenset({"serverShutdown"}),
    "blockTrade": frozenset({"blockTrade"}),
    "depth": frozenset({"depthUpdate", PARTIAL_DEPTH}),
    "rpiDepth": frozenset({"depthUpdate"}),
    "ticker": frozenset({"24hrTicker", "1hTicker", "4hTicker", "1dTicker"}),
    "miniTicker": frozenset({"24hrMiniTicker"}),
    "avgPrice": frozenset({"avgPrice"}),
    "markPrice": frozenset({"markPriceUpdate"}),
    "indexPrice": frozenset({"indexPriceUpdate"}),
    "forceOrder": frozenset({"forceOrder"}),
    "contractInfo": frozenset({"contractInfo"}),
    "compositeIndex": frozenset({"compositeIndex"}),
    "assetIndex": frozenset({"assetIndexUpdate"}),
    "continuousKline": frozenset({"continuous_kline"}),
}

KNOWN = frozenset(event for events in _EVENTS.values() for event in events)

# !name is for all symbols; [_@:+…] begins what refines a stream: an interval, a speed, a number of levels.
_STREAM = re.compile(r"(?:!|([a-z0-9_]{3,40})@)([A-Za-z]+)([0-9]*(?:[_@][A-Za-z0-9_@:+]*)?)")
_PLAIN = frozenset({"trade", "aggTrade", "bookTicker", "serverShutdown"})


def check(stream: str, event: str, symbol: str | None) -> str:
    """Give what refines the stream (``_1m`` of a kline); raise `MalformedFrame` where event or symbol disagree.

    ``symbol`` is what the data says, None where it does not.
    """
    match = _STREAM.fullmatch(stream) if len(stream) <= 100 else None
    if match is None or match[2] not in _EVENTS or (match[2] in _PLAIN and match[3]):
        raise MalformedFrame(f"unknown stream {stream[:60]!r}")
    if event not in _EVENTS[match[2]]:
        raise MalformedFrame(f"stream {stream!r} brought event {event[:40]!r}")
    if match[1] is not None and symbol is not None and match[1] != symbol.lower():
        raise MalformedFrame(f"stream {stream!r} brought symbol {symbol[:40]!r}")
    return match[3]
