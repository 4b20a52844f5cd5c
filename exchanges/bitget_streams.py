"""Bitget's channels and our names of streams, ``type:channel:symbol``, such as ``SPOT:trade:BTCUSDT``.

Source: bitget.com/api-doc, public channels of spot and of contracts. Mark price, index and funding come with the
ticker of futures, so that ``quote`` and ``mark_price`` are one stream there.
"""

import re

from core.errors import MalformedFrame
from exchanges.bitget_wire import Arg

BARS = {
    **{name: name for name in ("1m", "5m", "15m", "30m")},
    "1h": "1H",
    "4h": "4H",
    # From 6 hours on the plain bars begin at midnight of UTC+8.
    "6h": "6Hutc",
    "12h": "12Hutc",
    "1d": "1Dutc",
    "1w": "1Wutc",
    "1M": "1Mutc",
}
"""Our timeframes to what follows ``candle``; how 3 days are aligned is not documented."""

TIMEFRAMES = {f"candle{bar}": name for name, bar in BARS.items()}

CHANNELS = {"trade": "trade", "quote": "ticker", **{f"kline_{name}": f"candle{bar}" for name, bar in BARS.items()}}
"""Our channels to Bitget's."""

FUTURES_CHANNELS = {**CHANNELS, "mark_price": "ticker"}

PASSED_OVER = frozenset({"books", "books1", "books5", "books15"})
"""Channels that are known and hold nothing we record."""

_OTHER_CANDLE = re.compile(r"candle[1-9][0-9]?(?:m|[HDWM](?:utc)?)")
_NAMED = re.compile(r"instType:([A-Za-z-]{1,20}),channel:([A-Za-z0-9]{1,40}),instId:([A-Za-z0-9_]{1,60})")


def arg(stream: str) -> dict[str, str]:
    """Give what is asked of Bitget for a stream."""
    kind, channel, symbol = stream.split(":")
    return {"instType": kind, "channel": channel, "instId": symbol}


def stream(arg: Arg) -> str:
    """Give the name of the stream that Bitget speaks of."""
    return f"{arg.inst_type}:{arg.channel}:{arg.inst_id}"


def named(words: str) -> Arg | None:
    """Give what an error's words speak of; None where they do not say."""
    match = _NAMED.search(words)
    return Arg(match[1].upper(), match[2], match[3]) if match else None


def pass_over(channel: str) -> None:
    """Raise `MalformedFrame` for a channel that is not known."""
    if channel not in PASSED_OVER and not _OTHER_CANDLE.fullmatch(channel):
        raise MalformedFrame(f"unknown channel {channel[:40]!r}")
