"""OKX's channels: which there are, at which address, and what they tell.

Source: OKX API v5, "Public Channels" (candles and trades-all moved to /business in 2023).
"""

from dataclasses import dataclass

from simulator.dialect import Dialect
from simulator.topic import Kind, Topic
from simulator.venue_market import VenueMarket

PUBLIC, BUSINESS = "/ws/v5/public", "/ws/v5/business"

BARS = {
    "1s": "1s",
    **{bar: bar for bar in ("1m", "3m", "5m", "15m", "30m")},
    **{f"{n}H": f"{n}h" for n in (1, 2, 4)},
    **{f"{n}Hutc": f"{n}h" for n in (6, 12)},
    "1Dutc": "1d",
    "1Wutc": "1w",
    "1Mutc": "1M",
}
"""OKX's names of our timeframes; from six hours on the plain names (``1D``) follow UTC+8, which is not served."""

_PUBLIC: dict[str, Kind] = {
    "trades": "aggregate",
    "bbo-tbt": "quote",
    "tickers": "quote",
    "mark-price": "mark_price",
    "index-tickers": "mark_price",
    "funding-rate": "mark_price",
}

MOVED = "64001"
UNKNOWN = "60018"


@dataclass(frozen=True, slots=True)
class Wrong:
    """Refuse one argument, in OKX's code and words."""

    code: str
    words: str


def find(dialect: Dialect, path: str, channel: str, symbol: str) -> Topic | Wrong:
    """Give the topic of an argument, or what is wrong with it."""
    business = channel == "trades-all" or channel.startswith("candle")
    if business and path == PUBLIC:
        words = "This channel has been migrated to the '/business' URL. Please subscribe using the new URL."
        return Wrong(MOVED, words)
    kind: Kind | None = _PUBLIC.get(channel) if path == PUBLIC else None
    timeframe = ""
    if business:
        timeframe = BARS.get(channel.removeprefix("candle"), "")
        kind = "trade" if channel == "trades-all" else "kline" if timeframe else None
    market = _market(dialect, channel, symbol)
    if kind is None or market is None:
        words = (
            f"Wrong URL or channel:{channel},instId:{symbol} doesn't exist. "
            "Please use the correct URL, channel and parameters referring to API document."
        )
        return Wrong(UNKNOWN, words)
    return Topic(kind, market, (channel, symbol), timeframe)


def kind_of(market: VenueMarket) -> str:
    """Give OKX's name of a kind of instrument."""
    expiry = market.instrument.expiry
    return "SPOT" if not expiry else "SWAP" if expiry == "PERP" else "FUTURES"


def _market(dialect: Dialect, channel: str, symbol: str) -> VenueMarket | None:
    if channel == "index-tickers":
        # An index is named by its assets alone, and told as the first market of them.
        pairs = (one for one in dialect.markets.values() if symbol == f"{one.instrument.base}-{one.instrument.quote}")
        return next(pairs, None)
    market = dialect.market(symbol)
    if market is None:
        return None
    wanted = {"mark-price": ("SWAP", "FUTURES"), "funding-rate": ("SWAP",)}.get(channel)
    return market if wanted is None or kind_of(market) in wanted else None
