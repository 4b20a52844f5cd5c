"""What Binance answers by REST; every reader raises `MalformedFrame` and nothing else."""

from dataclasses import replace
from typing import TypeVar

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import Timeframe, timeframe
from core.trades import TradeBatch
from exchanges import binance_answers_wire as wire
from exchanges import binance_symbols, bounds
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json
from exchanges.klines_check import check_kline
from exchanges.number_texts import step
from exchanges.trade_page import Row, trade_page

_T = TypeVar("_T")
_Row = tuple[int, str, str, str, str, str, str, int, str]


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    return bounds.micros(_read(payload, wire.ServerTime).server_time, "server time")


def read_instruments(payload: bytes, futures: bool, exchange: str) -> list[Instrument]:
    """Read the instruments that trade, with tick and lot.

    Left out are those that are not trading, those that our names cannot express, and odd rows (`listed`).
    """
    rows = [symbol for symbol in _read(payload, wire.ExchangeInfo).symbols if symbol.status == "TRADING"]
    return listed(rows, lambda row: _instrument(row, futures, exchange), lambda row: row.symbol, "Binance")


def read_trades(instrument: str, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of ``trades`` or ``historicalTrades``."""
    rows = _read(payload, list[wire.TradeRow])
    told = [_row(row.id, row.time, row.price, row.qty, row.is_buyer_maker) for row in rows]
    return trade_page(instrument, "trade", told, received_at)


def read_aggregates(instrument: str, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of ``aggTrades``."""
    rows = _read(payload, list[wire.AggregateRow])
    fills = [bounds.fill_count(row.f, row.l) for row in rows]
    told = [_row(row.a, row.T, row.p, row.q, row.m) for row in rows]
    return trade_page(instrument, "aggregate", told, received_at, fills)


def read_first_trade(payload: bytes) -> int | None:
    """Read the id of the first trade of the first aggregate of a page; None for an empty page."""
    rows = _read(payload, list[wire.AggregateRow])
    return bounds.identifier(rows[0].f, "first trade id") if rows else None


def read_candles(instrument: str, name: str, payload: bytes) -> VenueCandles:
    """Read a page of ``klines``, ascending, closed or not."""
    length, rows, before = timeframe(name), [], 0
    for row in _read(payload, list[wire.KlineRow]):
        read = _candle(row, length)
        if read[0] <= before:
            raise MalformedFrame(f"kline {name} at {read[0]} does not come after the one before it")
        before = read[0]
        rows.append(read)
    return VenueCandles(instrument, name, rows)


def _read(payload: bytes, kind: type[_T]) -> _T:
    return read_json(payload, kind, "an answer of Binance")


def _row(number: int, time: int, price: str, size: str, maker: bool) -> Row:
    return number, time, price, size, "sell" if maker else "buy"  # the buyer is the maker: the taker sold


def _candle(row: wire.KlineRow, length: Timeframe) -> _Row:
    start = bounds.micros(row.start, "start of the kline")
    if not start <= bounds.micros(row.end, "end of the kline") < length.end(start):
        raise MalformedFrame(f"kline {length} at {start} ends elsewhere: {row.end}")
    check_kline(length, start, row.open, row.high, row.low, row.close)
    for text, what in ((row.volume, "volume"), (row.quote_volume, "quote volume"), (row.buy_volume, "buy volume")):
        bounds.total(text, what)
    if not 0 <= row.trades <= bounds.MAX_ID:
        raise MalformedFrame("the number of trades of a kline is out of bounds")
    prices = (row.open, row.high, row.low, row.close)
    return (start, *prices, row.volume, row.quote_volume, row.trades, row.buy_volume)


def _instrument(symbol: wire.Symbol, futures: bool, exchange: str) -> Instrument | None:
    expiry = _expiry(symbol) if futures else ""
    if expiry is None or len(symbol.symbol) > bounds.MAX_TEXT:
        return None
    name = f"{exchange}:{symbol.base_asset}-{symbol.quote_asset}" + (f"-{expiry}" if expiry else "")
    try:
        instrument = Instrument.parse(name)
    except UserError:
        return None
    rules = {rule.filter_type: rule for rule in symbol.filters}
    # A step of 0 means that the rule is off.
    tick = step(rules.get("PRICE_FILTER", _NO_RULE).tick_size, "tick size")
    lot = step(rules.get("LOT_SIZE", _NO_RULE).step_size, "lot size")
    return replace(instrument, native=symbol.symbol, tick=tick, lot=lot)


def _expiry(symbol: wire.Symbol) -> str | None:
    _, dated, digits = symbol.symbol.partition("_")
    if dated:
        return binance_symbols.delivery_date(digits)
    return "PERP" if "PERPETUAL" in symbol.contract_type else None


_NO_RULE = wire.Filter("")
