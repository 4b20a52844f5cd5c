"""Deribit's frames and answers as they are on the wire: members and types, nothing computed.

Source: docs.deribit.com (JSON-RPC 2.0 over websocket and REST). Prices, sizes and rates come as JSON floats and stay
raw. Members that are not named here may come and are passed over: block trades, legs of combinations and liquidations
are trades like others.
"""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType


class Head(Struct, frozen=True):
    """Hold what tells a notification from a reply."""

    method: str | UnsetType = UNSET
    params: Raw | UnsetType = UNSET
    id: int | str | UnsetType | None = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET


class Notification(Struct, frozen=True):
    """Hold the parameters of ``subscription``."""

    channel: str
    data: Raw


class Beat(Struct, frozen=True):
    """Hold the parameters of ``heartbeat``."""

    type: Literal["heartbeat", "test_request"]


class Version(Struct, frozen=True):
    """Hold the result of ``public/test``."""

    version: str


class Refusal(Struct, frozen=True):
    """Hold the error of a request that was refused."""

    code: int
    message: str
    data: Raw | UnsetType = UNSET


class TradeRow(Struct, frozen=True):
    """Hold a trade of ``trades.<instrument>.<interval>`` or of ``get_last_trades_by_instrument``."""

    trade_seq: int
    timestamp: int
    instrument_name: str
    price: Raw
    amount: Raw
    direction: Literal["buy", "sell"]


class Quote(Struct, frozen=True):
    """Hold ``quote.<instrument>``; a side without orders is null or 0.0."""

    timestamp: int
    instrument_name: str
    best_bid_price: Raw
    best_bid_amount: Raw
    best_ask_price: Raw
    best_ask_amount: Raw


class Ticker(Struct, frozen=True):
    """Hold ``ticker.<instrument>.<interval>``; only perpetuals have a funding rate."""

    timestamp: int
    instrument_name: str
    mark_price: Raw
    index_price: Raw | UnsetType = UNSET
    current_funding: Raw | UnsetType = UNSET


class Candle(Struct, frozen=True):
    """Hold ``chart.trades.<instrument>.<resolution>``; ``tick`` is its start."""

    tick: int
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    cost: Raw


class Book(Struct, frozen=True):
    """Hold what is looked at of ``book.<instrument>…``."""

    instrument_name: str


class ServerTime(Struct, frozen=True):
    """Hold the answer of ``get_time``."""

    result: int


class Listed(Struct, frozen=True):
    """Hold one instrument of ``get_instruments``."""

    instrument_name: str
    kind: str
    is_active: bool
    tick_size: Raw
    min_trade_amount: Raw
    contract_size: Raw
    instrument_type: str | UnsetType = UNSET


class Instruments(Struct, frozen=True):
    """Hold the answer of ``get_instruments``."""

    result: list[Listed]


class Trades(Struct, frozen=True):
    """Hold the result of ``get_last_trades_by_instrument``."""

    trades: list[TradeRow]


class TradesAnswer(Struct, frozen=True):
    """Hold the answer of ``get_last_trades_by_instrument`` and ``…_and_time``."""

    result: Trades


class Chart(Struct, frozen=True):
    """Hold the result of ``get_tradingview_chart_data``: columns of one length."""

    status: Literal["ok", "no_data"]
    ticks: list[int] = []
    open: list[Raw] = []
    high: list[Raw] = []
    low: list[Raw] = []
    close: list[Raw] = []
    volume: list[Raw] = []
    cost: list[Raw] = []


class ChartAnswer(Struct, frozen=True):
    """Hold the answer of ``get_tradingview_chart_data``."""

    result: Chart
