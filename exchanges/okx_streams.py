"""OKX's channels and our names of streams, ``channel:symbol``, such as ``trades-all:BTC-USDT``.

Sources: OKX docs-v5; candles and ``trades-all`` are served at ``/business`` only. The stream ``mark-price`` stands
for what OKX tells on up to three channels: the mark price, and for swaps the funding rate and the index.
"""

import re

from core.errors import MalformedFrame
from exchanges.okx_symbols import SWAP
from exchanges.okx_wire import Arg

BARS = {
    **{name: name for name in ("1s", "1m", "3m", "5m", "15m", "30m")},
    "1h": "1H",
    "2h": "2H",
    "4h": "4H",
    # From 6 hours on the plain bars begin at midnight of UTC+8.
    "6h": "6Hutc",
    "12h": "12Hutc",
    "1d": "1Dutc",
    "1w": "1Wutc",
    "1M": "1Mutc",
}
"""Our timeframes to what follows ``candle`` and stands as ``bar``; how 3 days are aligned is not documented."""

TIMEFRAMES = {f"candle{bar}": name for name, bar in BARS.items()}

CHANNELS: dict[str, tuple[str, str]] = {
    "trade": ("/business", "trades-all"),
    "aggregate": ("/public", "trades"),
    "quote": ("/public", "bbo-tbt"),
    "mark_price": ("/public", "mark-price"),
    **{f"kline_{name}": ("/business", f"candle{bar}") for name, bar in BARS.items()},
}
"""Our channels to the path below the websocket address and OKX's channel."""

COMPANIONS = frozenset({"funding-rate", "index-tickers"})
"""Channels that are subscribed with ``mark-price`` and are no streams of their own."""

PASSED_OVER = frozenset({"tickers", "books", "books5", "books-l2-tbt", "books50-l2-tbt"})
"""Channels that are known and hold nothing we record."""

_OTHER_CANDLE = re.compile(r"candle[1-9][0-9]?(?:s|m|[HDWM](?:utc)?)")
_NAMED = re.compile(r"channel:([A-Za-z0-9-]{1,40}),instId:([A-Za-z0-9_-]{1,60})")


def args(stream: str) -> list[dict[str, str]]:
    """Give what is asked of OKX for a stream."""
    channel, _, symbol = stream.partition(":")
    asked = [{"channel": channel, "instId": symbol}]
    if channel == "mark-price" and symbol.endswith(SWAP):
        asked.append({"channel": "funding-rate", "instId": symbol})
        asked.append({"channel": "index-tickers", "instId": symbol.removesuffix(SWAP)})
    return asked


def stream(arg: Arg) -> str | None:
    """Give the name of the stream that OKX speaks of; None where it is a companion of one."""
    return None if arg.channel in COMPANIONS else f"{arg.channel}:{arg.inst_id}"


def named(words: str) -> Arg | None:
    """Give what an error's words speak of; None where they do not say."""
    match = _NAMED.search(words)
    return Arg(match[1], match[2]) if match else None


def pass_over(channel: str) -> None:
    """Raise `MalformedFrame` for a channel that is not known."""
    if channel not in PASSED_OVER and not _OTHER_CANDLE.fullmatch(channel):
        raise MalformedFrame(f"unknown channel {channel[:40]!r}")
