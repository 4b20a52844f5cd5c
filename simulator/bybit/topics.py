"""Bybit's topics: which there are in a category, and what they tell.

Source: bybit-exchange/docs v5, "Websocket", "Public".
"""

from collections.abc import Hashable

from core.instruments import Instrument
from simulator.dialect import Dialect
from simulator.topic import Topic
from simulator.venue_market import VenueMarket

CATEGORIES = ("spot", "linear", "inverse")

INTERVALS = {
    **{str(n): f"{n}m" for n in (1, 3, 5, 15, 30)},
    **{str(60 * n): f"{n}h" for n in (1, 2, 4, 6, 12)},
    "D": "1d",
    "W": "1w",
    "M": "1M",
}
"""Bybit's names of our timeframes."""


def category_of(instrument: Instrument) -> str:
    """Give the category of an instrument: its symbol is unique there only."""
    if not instrument.expiry:
        return "spot"
    return "inverse" if instrument.quote == "USD" else "linear"


def find(dialect: Dialect, category: str, name: object) -> Topic | None:
    """Give a topic of a category; None where there is no such."""
    if not isinstance(name, str):
        return None
    kind, *middle, symbol = name.split(".") if name.count(".") in (1, 2) else ("", "")
    market = dialect.market(symbol, category)
    if market is None:
        return None
    key = category, name
    if (kind, *middle) == ("publicTrade",):
        return Topic("trade", market, key)
    if (kind, *middle) == ("orderbook", "1"):
        return Topic("quote", market, key)
    if (kind, *middle) == ("tickers",):
        return Topic("mark_price", market, key)
    return _kline(kind, middle, market, key)


def _kline(kind: str, middle: list[str], market: VenueMarket, key: Hashable) -> Topic | None:
    timeframe = INTERVALS.get(middle[0]) if kind == "kline" and middle else None
    return None if timeframe is None else Topic("kline", market, key, timeframe)
