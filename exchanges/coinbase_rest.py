"""What Coinbase Exchange is asked by REST, and how its answers are read; readers raise `MalformedFrame`, no more.

Source: docs.cdp.coinbase.com, Exchange REST (products, pagination, rate limits): 10 requests a second and address.
Pages are newest first; ``after`` an id means older than it, and an id may be named that is still to come. ``before``
is of no use: it gives the newest page. No trade is found by its time.
"""

from dataclasses import replace

from msgspec import Raw, Struct

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe
from core.trades import TradeBatch
from exchanges import bounds, moments
from exchanges.coinbase_frames import TAKER, InstrumentOf, Side
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json
from exchanges.kline_page import Candle, kline_page, page_end
from exchanges.number_texts import number_text, step, sum_text
from exchanges.trade_page import Row, trade_page
from exchanges.venue import Budget, Request

BUDGET = Budget(weight=10, seconds=1)
PAGE = 1000
CANDLES = 300
"""A stretch of more candles is refused."""
GRANULARITIES = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "6h": 21_600, "1d": 86_400}
_ANSWER = "an answer of Coinbase"


class ServerTime(Struct, frozen=True):
    """Hold ``/time``."""

    iso: moments.Moment


class Product(Struct, frozen=True):
    """Hold a row of ``/products``; its base and quote are in its id (``base_currency`` of an auction is another)."""

    id: str
    quote_increment: str
    base_increment: str
    status: str
    trading_disabled: bool = False


class TradeRow(Struct, frozen=True):
    """Hold a row of ``/products/<id>/trades``; ``side`` is the maker's."""

    trade_id: int
    price: str
    size: str
    side: Side
    time: moments.Moment


class CandleRow(Struct, frozen=True, array_like=True):
    """Hold a row of ``/products/<id>/candles``; ``time`` is its start in seconds."""

    time: int
    low: Raw
    high: Raw
    open: Raw
    close: Raw
    volume: Raw


def trades(product: str, channel: str, first_id: int | None, start: int | None) -> Request:
    """Ask for the page of trades from an id on, or for the newest one.

    Raise `UserError` for trades by time, `UnknownName` for a channel that brings none.
    """
    if channel != "trade":
        raise UnknownName("channel of trades", channel, ["trade"])
    if start is not None:
        raise UserError("Coinbase gives no trades from a time on: ask for the first id (exchanges.history.first_id)")
    return older_trades(product, None if first_id is None else first_id + PAGE)


def older_trades(product: str, before: int | None) -> Request:
    """Ask for the page of trades before an id, or for the newest one."""
    cursor = {} if before is None else {"after": before}
    return Request(f"/products/{product}/trades", {"limit": PAGE, **cursor}, 1)


def klines(product: str, name: str, start: int, end: int) -> Request:
    """Ask for the candles that begin in [start, end) (µs), up to `klines_until`."""
    if name not in GRANULARITIES:
        raise UnknownName("timeframe of Coinbase", name, GRANULARITIES)
    # ``end`` is part of the stretch: a second before a candle that is not to come.
    last = klines_until(name, start, end) - 1
    times = {"start": moments.text(start), "end": moments.text(last)}
    return Request(f"/products/{product}/candles", {"granularity": GRANULARITIES[name], **times}, 1)


def klines_until(name: str, start: int, end: int) -> int:
    """Give the end of what one request covers, as `exchanges.history.KlineWindows` says."""
    return page_end(timeframe(name), start, end, CANDLES)


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    return moments.micros(read_json(payload, ServerTime, _ANSWER).iso, "server time")


def read_products(payload: bytes, instrument_of: InstrumentOf) -> list[Instrument]:
    """Read the products that trade, with tick and lot; left out are those that our names cannot express."""
    online = [row for row in read_json(payload, list[Product], _ANSWER) if row.status == "online"]
    rows = [row for row in online if not row.trading_disabled]
    return listed(rows, lambda row: _instrument(row, instrument_of), lambda row: row.id, "Coinbase")


def read_trades(instrument: Instrument, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of trades, ascending by id; None for an empty one."""
    rows = reversed(read_json(payload, list[TradeRow], _ANSWER))
    return trade_page(instrument.name, "trade", [_trade(row) for row in rows], received_at)


def read_candles(instrument: Instrument, name: str, payload: bytes) -> VenueCandles:
    """Read a page of candles, closed or not; Coinbase tells neither quote volumes nor counts: 0."""
    rows = read_json(payload, list[CandleRow], _ANSWER)
    return kline_page(instrument.name, timeframe(name), map(_candle, rows))


def _instrument(row: Product, instrument_of: InstrumentOf) -> Instrument | None:
    try:
        known = instrument_of(row.id)
    except MalformedFrame:
        return None
    tick, lot = step(row.quote_increment, "quote increment"), step(row.base_increment, "base increment")
    return replace(known, tick=tick, lot=lot)


def _trade(row: TradeRow) -> Row:
    return row.trade_id, moments.micros(row.time, "trade time"), row.price, row.size, TAKER[row.side]


def _candle(row: CandleRow) -> Candle:
    start = bounds.micros(row.time * 1000, "start of the kline")
    opened, high = number_text(row.open, "open"), number_text(row.high, "high")
    low, close = number_text(row.low, "low"), number_text(row.close, "close")
    return Candle(start, opened, high, low, close, sum_text(row.volume, "volume"), "0")
