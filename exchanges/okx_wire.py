"""The frames and answers of OKX v5 as they are on the wire: members and types, nothing computed.

Source: OKX docs-v5, WebSocket "Trades", "All trades", "Candlesticks", "Order book" (bbo-tbt), "Mark price",
"Index tickers", "Funding rate"; REST "Get trades history", "Get candlesticks history", "Get instruments".
Members that are not named here may come and are passed over.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType


class Arg(Struct, frozen=True, rename="camel"):
    """Hold what a frame belongs to."""

    channel: str
    inst_id: str = ""


class Head(Struct, frozen=True):
    """Hold what tells one frame from another."""

    arg: Arg | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    event: str | UnsetType = UNSET
    id: str | None = None
    code: str | int | UnsetType = UNSET
    msg: str = ""


class TradeRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``trades``, ``trades-all`` and of both REST lists of trades; only ``trades`` has ``count``."""

    inst_id: str
    trade_id: str
    px: str
    sz: str
    side: Literal["buy", "sell"]
    ts: str
    count: str = "1"


class Level(Struct, frozen=True, array_like=True):
    """Hold a level of the book; a deprecated "0" and a number of orders follow."""

    px: str
    sz: str


class BookRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``bbo-tbt``."""

    asks: list[Level]
    bids: list[Level]
    ts: str
    seq_id: int = 0


class CandleRow(Struct, frozen=True, array_like=True):
    """Hold a candle; ``volume`` is in contracts for derivatives, in base otherwise."""

    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    volume_currency: str
    volume_quote: str
    confirm: Literal["0", "1"]


class MarkRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``mark-price``."""

    inst_id: str
    mark_px: str
    ts: str


class IndexRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``index-tickers``."""

    inst_id: str
    idx_px: str
    ts: str


class FundingRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``funding-rate``: paid at ``funding_time``; a ``nextFundingTime`` would be of the rate after."""

    inst_id: str
    funding_rate: str
    funding_time: str
    ts: str = ""


class Answer(Struct, frozen=True):
    """Hold what every REST answer is wrapped in."""

    code: str
    data: Raw
    msg: str = ""


class TimeRow(Struct, frozen=True):
    """Hold the row of ``public/time``."""

    ts: str


class ListedRow(Struct, frozen=True, rename="camel"):
    """Hold a row of ``public/instruments``; the ``ct_`` members are empty for spot."""

    inst_id: str
    inst_type: str
    state: str
    tick_sz: str = ""
    lot_sz: str = ""
    ct_val: str = ""
    ct_mult: str = ""
