"""Bybit v5 as it is on the wire: members and types, nothing computed.

Source: bybit-exchange/docs, docs/v5/websocket/public and docs/v5/market. Members that are not named here may come and
are passed over.
"""

from typing import Generic, Literal, TypeVar

from msgspec import UNSET, Raw, Struct, UnsetType, field

_T = TypeVar("_T")


class Head(Struct, frozen=True):
    """Hold what tells data from answers."""

    topic: str | UnsetType = UNSET
    op: str | UnsetType = UNSET
    success: bool | UnsetType = UNSET
    ret_msg: str = ""
    req_id: str = ""


class TradeRow(Struct, frozen=True):
    """Hold a trade of ``publicTrade``; ``S`` is the taker's side."""

    T: int
    s: str
    S: Literal["Buy", "Sell"]
    v: str
    p: str
    i: str


class TradeEvent(Struct, frozen=True):
    """Hold ``publicTrade.<symbol>``, up to 1024 trades; ``snapshot`` does not mean the past here."""

    type: Literal["snapshot"]
    ts: int
    data: list[TradeRow]


class Book(Struct, frozen=True):
    """Hold the best bid and ask, as lists of one level or none."""

    s: str
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    u: int
    seq: int


class BookEvent(Struct, frozen=True):
    """Hold ``orderbook.1.<symbol>``; ``cts`` is the matching engine's time."""

    type: Literal["snapshot"]
    ts: int
    data: Book
    cts: int | UnsetType = UNSET


class KlineBody(Struct, frozen=True):
    """Hold a candle of ``kline``; its end is inclusive."""

    start: int
    end: int
    interval: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    turnover: str
    confirm: bool


class KlineEvent(Struct, frozen=True):
    """Hold ``kline.<interval>.<symbol>``."""

    type: Literal["snapshot"]
    ts: int
    data: list[KlineBody]


class Ticker(Struct, frozen=True, rename="camel"):
    """Hold ``tickers``: what is missing has not changed, what is empty does not exist (funding of a dated future)."""

    symbol: str
    mark_price: str = ""
    index_price: str = ""
    funding_rate: str = ""
    next_funding_time: str = ""


class TickerEvent(Struct, frozen=True):
    """Hold ``tickers.<symbol>``."""

    type: Literal["snapshot", "delta"]
    ts: int
    data: Ticker


class Envelope(Struct, frozen=True, rename="camel"):
    """Hold the answer to any request; without a result where the code is not 0."""

    ret_code: int
    ret_msg: str
    result: Raw = field(default_factory=lambda: Raw(b"{}"))


class Time(Struct, frozen=True, rename="camel"):
    """Hold the result of ``time``."""

    time_nano: str


class PriceFilter(Struct, frozen=True, rename="camel"):
    """Hold the rules of prices."""

    tick_size: str


class LotFilter(Struct, frozen=True, rename="camel"):
    """Hold the rules of sizes: one of both members, the first at spot."""

    base_precision: str = ""
    qty_step: str = ""


class Listed(Struct, frozen=True, rename="camel"):
    """Hold one row of ``instruments-info``; the type stands at derivatives only, 0 is no delivery."""

    symbol: str
    status: str
    base_coin: str
    quote_coin: str
    price_filter: PriceFilter
    lot_size_filter: LotFilter
    contract_type: str = ""
    delivery_time: str = "0"


class Page(Struct, Generic[_T], frozen=True, rename="camel"):
    """Hold the result of ``instruments-info``, ``recent-trade`` and ``kline``, newest first."""

    category: Literal["spot", "linear", "inverse"]
    list: list[_T]
    symbol: str = ""
    next_page_cursor: str = ""


class TradePageRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``recent-trade``."""

    exec_id: str
    symbol: str
    price: str
    size: str
    side: Literal["Buy", "Sell"]
    time: str


class KlineRow(Struct, frozen=True, array_like=True):
    """Hold a row of ``kline``."""

    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
