"""The frames and answers of Bitget v2 as they are on the wire: members and types, nothing computed.

Source: bitget.com/api-doc, spot and contract: "Trading Channel", "Candlestick Channel", "Market Channel" (ticker),
"Get Market Trades", "Get History Candlestick Data", "Get Symbol Info", "Get Contract Config".
Members that are not named here may come and are passed over.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType


class Arg(Struct, frozen=True, rename="camel"):
    """Hold what a frame belongs to."""

    inst_type: str
    channel: str
    inst_id: str = ""


class Head(Struct, frozen=True):
    """Hold what tells one frame from another; ``op`` and ``args`` answer some requests to unsubscribe."""

    arg: Arg | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    action: Literal["snapshot", "update"] | UnsetType = UNSET
    ts: int | UnsetType = UNSET
    event: str | UnsetType = UNSET
    op: str | UnsetType = UNSET
    args: list[Arg] | UnsetType = UNSET
    code: str | int | UnsetType = UNSET
    msg: str = ""


class TradeRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``trade``."""

    ts: str
    price: str
    size: str
    side: Literal["buy", "sell"]
    trade_id: str


class PagedTradeRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``fills-history``, where the side is capitalised and the time may be in whole seconds."""

    symbol: str
    trade_id: str
    side: Literal["buy", "sell", "Buy", "Sell"]
    price: str
    size: str
    ts: str


class CandleRow(Struct, frozen=True, array_like=True):
    """Hold a candle; which of the last two members is in quote depends on where it comes from."""

    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    other_turnover: str = ""


class TickerRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``ticker``; what follows ``ts`` stands at futures only."""

    inst_id: str
    bid_pr: str
    ask_pr: str
    bid_sz: str
    ask_sz: str
    ts: str
    mark_price: str = ""
    index_price: str = ""
    funding_rate: str = ""
    next_funding_time: str = ""


class Answer(Struct, frozen=True):
    """Hold what every REST answer is wrapped in."""

    code: str
    data: Raw
    msg: str = ""


class ServerTime(Struct, frozen=True, rename="camel"):
    """Hold ``public/time``."""

    server_time: str


class SpotRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``spot/public/symbols``; precisions are numbers of decimals."""

    symbol: str
    base_coin: str
    quote_coin: str
    status: str
    price_precision: str
    quantity_precision: str


class ContractRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``mix/market/contracts``; the tick is ``price_end_step`` units of the last decimal."""

    symbol: str
    base_coin: str
    quote_coin: str
    symbol_status: str
    symbol_type: str
    price_place: str
    price_end_step: str
    size_multiplier: str
    delivery_time: str | None = ""
