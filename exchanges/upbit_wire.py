"""Upbit as it is on the wire: members and types, nothing computed.

Source: docs.upbit.com, reference of WebSocket (trade, orderbook, candle) and of the Quotation API. Each type comes
with long names (format DEFAULT, which is asked for) or with short ones (SIMPLE). Numbers are JSON numbers, left as
they are written. Members that are not named here may come and are passed over.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

Side = Literal["ASK", "BID"]
"""Of the taker: ASK sold."""


class Refusal(Struct, frozen=True):
    """Hold an error; REST writes some names as numbers."""

    name: str | int
    message: str


class Head(Struct, frozen=True):
    """Hold what tells one frame from another, in both formats."""

    type: str | UnsetType = UNSET
    ty: str | UnsetType = UNSET
    status: Literal["UP"] | UnsetType = UNSET
    error: Refusal | UnsetType = UNSET


class Trade(Struct, frozen=True):
    """Hold ``trade``."""

    code: str
    timestamp: int
    trade_timestamp: int
    trade_price: Raw
    trade_volume: Raw
    ask_bid: Side
    sequential_id: int


class ShortTrade(
    Struct,
    frozen=True,
    rename={
        "code": "cd",
        "timestamp": "tms",
        "trade_timestamp": "ttms",
        "trade_price": "tp",
        "trade_volume": "tv",
        "ask_bid": "ab",
        "sequential_id": "sid",
    },
):
    """Hold ``trade`` with short names."""

    code: str
    timestamp: int
    trade_timestamp: int
    trade_price: Raw
    trade_volume: Raw
    ask_bid: Side
    sequential_id: int


class Level(Struct, frozen=True):
    """Hold one level of both sides of a book."""

    ask_price: Raw
    bid_price: Raw
    ask_size: Raw
    bid_size: Raw


class ShortLevel(
    Struct, frozen=True, rename={"ask_price": "ap", "bid_price": "bp", "ask_size": "as", "bid_size": "bs"}
):
    """Hold one level with short names."""

    ask_price: Raw
    bid_price: Raw
    ask_size: Raw
    bid_size: Raw


class Book(Struct, frozen=True):
    """Hold ``orderbook``, the best level first; ``level`` is what prices are rounded to, 0 for not at all."""

    code: str
    timestamp: int
    orderbook_units: list[Level]
    level: float = 0


class ShortBook(
    Struct,
    frozen=True,
    rename={"code": "cd", "timestamp": "tms", "orderbook_units": "obu", "level": "lv"},
):
    """Hold ``orderbook`` with short names."""

    code: str
    timestamp: int
    orderbook_units: list[ShortLevel]
    level: float = 0


class Candle(Struct, frozen=True):
    """Hold ``candle.<unit>``; ``timestamp`` is of its last trade, the time of its start has no zone mark (UTC)."""

    code: str
    candle_date_time_utc: str
    opening_price: Raw
    high_price: Raw
    low_price: Raw
    trade_price: Raw
    candle_acc_trade_volume: Raw
    candle_acc_trade_price: Raw
    timestamp: int


class ShortCandle(
    Struct,
    frozen=True,
    rename={
        "code": "cd",
        "candle_date_time_utc": "cdttmu",
        "opening_price": "op",
        "high_price": "hp",
        "low_price": "lp",
        "trade_price": "tp",
        "candle_acc_trade_volume": "catv",
        "candle_acc_trade_price": "catp",
        "timestamp": "tms",
    },
):
    """Hold ``candle.<unit>`` with short names."""

    code: str
    candle_date_time_utc: str
    opening_price: Raw
    high_price: Raw
    low_price: Raw
    trade_price: Raw
    candle_acc_trade_volume: Raw
    candle_acc_trade_price: Raw
    timestamp: int


class Market(Struct, frozen=True):
    """Hold a row of ``market/all``."""

    market: str


class Tick(Struct, frozen=True):
    """Hold a row of ``trades/ticks``; ``timestamp`` is when it was traded."""

    market: str
    timestamp: int
    trade_price: Raw
    trade_volume: Raw
    ask_bid: Side
    sequential_id: int


class Bar(Struct, frozen=True):
    """Hold a row of ``candles``."""

    market: str
    candle_date_time_utc: str
    opening_price: Raw
    high_price: Raw
    low_price: Raw
    trade_price: Raw
    candle_acc_trade_volume: Raw
    candle_acc_trade_price: Raw
