"""The answers of Binance's REST interface as they are on the wire: members and types, nothing computed.

Source: binance/binance-spot-api-docs rest-api.md; USD-M gives the same members.
Members that are not named here may come and are passed over.
"""

from msgspec import Struct, field


class ServerTime(Struct, frozen=True, rename="camel"):
    """Hold ``time``."""

    server_time: int


class Filter(Struct, frozen=True, rename="camel"):
    """Hold one rule of a symbol; which members it has depends on its type."""

    filter_type: str
    tick_size: str | None = None
    step_size: str | None = None


class Symbol(Struct, frozen=True, rename="camel"):
    """Hold one symbol of ``exchangeInfo``; ``contract_type`` stands at futures only."""

    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[Filter]
    contract_type: str = ""


class ExchangeInfo(Struct, frozen=True):
    """Hold ``exchangeInfo``."""

    symbols: list[Symbol]


class TradeRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``trades`` and ``historicalTrades``."""

    id: int
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


class AggregateRow(Struct, frozen=True):
    """Hold a row of ``aggTrades``."""

    a: int
    p: str
    q: str
    f: int
    l: int  # noqa: E741 - the venue's name
    T: int
    m: bool


class KlineRow(Struct, frozen=True, array_like=True):
    """Hold a row of ``klines``; times in ms, the end inclusive."""

    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    end: int
    quote_volume: str
    trades: int
    buy_volume: str
    buy_quote_volume: str = field(default="0")
