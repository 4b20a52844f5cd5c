"""What Bybit is asked by REST, and how its answers are read; readers raise `MalformedFrame` and nothing else.

Source: bybit-exchange/docs, docs/v5/market. 600 requests in 5 s and address, whatever they ask; more is answered with
403 for ten minutes. Trades reach back 60 (spot) or 1000 (others), and no further.
"""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe
from core.trades import TradeBatch
from exchanges import bounds, bybit_symbols
from exchanges import bybit_wire as wire
from exchanges.bybit_frames import INTERVALS, side, volumes
from exchanges.bybit_symbols import Category
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json
from exchanges.kline_page import Candle, kline_page, page_end
from exchanges.number_texts import micros, step, whole
from exchanges.text_ids import text_id
from exchanges.trade_page import trade_page
from exchanges.venue import Budget, Request

BUDGET = Budget(weight=600, seconds=5)
PAGE = 1000
"""Candles and instruments of a page."""
_TRADES = {"spot": 60, "linear": 1000, "inverse": 1000}
_ROOT = "/v5/market"
_ANSWER = "an answer of Bybit"
_T = TypeVar("_T")


def time() -> Request:
    """Ask for the time."""
    return Request(f"{_ROOT}/time", {}, 1)


def instruments(category: Category, cursor: str = "") -> Request:
    """Ask for the instruments that trade: the first page, or the one that a cursor names. Spot has one page."""
    params: dict[str, str | int] = {"category": category, "limit": PAGE}
    return Request(f"{_ROOT}/instruments-info", {**params, "cursor": cursor} if cursor else params, 1)


def trades(category: Category, symbol: str, channel: str, first_id: int | None, start: int | None) -> Request:
    """Ask for the newest trades; raise `UnknownName` for another channel, `UserError` for older trades."""
    if channel != "trade":
        raise UnknownName("channel of trades", channel, ["trade"])
    if first_id is not None or start is not None:
        raise UserError("Bybit tells its newest trades only, neither from an id nor from a time")
    return Request(f"{_ROOT}/recent-trade", {"category": category, "symbol": symbol, "limit": _TRADES[category]}, 1)


def klines(category: Category, symbol: str, name: str, start: int, end: int) -> Request:
    """Ask for the candles that begin in [start, end) (µs), up to `klines_until`: of more, Bybit gives the last."""
    if name not in INTERVALS:
        raise UnknownName("timeframe of Bybit", name, INTERVALS)
    params: dict[str, str | int] = {
        "category": category,
        "symbol": symbol,
        "interval": INTERVALS[name],
        "start": -(-start // 1000),
        "end": -(-klines_until(name, start, end) // 1000) - 1,
        "limit": PAGE,
    }
    return Request(f"{_ROOT}/kline", params, 1)


def klines_until(name: str, start: int, end: int) -> int:
    """Give the end of what one request covers, as `exchanges.history.KlineWindows` says."""
    return page_end(timeframe(name), start, end, PAGE)


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    return bounds.micros(whole(_result(payload, wire.Time).time_nano, "time") // 1000, "server time")


def read_instruments(category: Category, payload: bytes) -> list[Instrument]:
    """Read the instruments that trade, with tick and lot.

    Left out are those that are not trading, those that our names cannot express, and odd rows (`listed`).
    """
    rows = [row for row in _page(category, payload, wire.Listed).list if row.status == "Trading"]
    return listed(rows, lambda row: _instrument(category, row), lambda row: row.symbol, "Bybit")


def read_cursor(category: Category, payload: bytes) -> str:
    """Read what names the next page of instruments; no text where this is the last, or an empty one."""
    page = _page(category, payload, msgspec.Raw)
    return page.next_page_cursor if page.list else ""


def read_trades(
    category: Category, instrument: Instrument, symbol: str, payload: bytes, received_at: int
) -> TradeBatch | None:
    """Read a page of trades, ascending by time, those of one time in the order in which they came about."""
    rows = []
    for row in reversed(_page(category, payload, wire.TradePageRow).list):
        _same(row.symbol, symbol)
        rows.append((text_id(row.exec_id), whole(row.time, "trade time"), row.price, row.size, side(row.side)))
    return trade_page(instrument.name, "execution", sorted(rows, key=lambda row: row[1]), received_at)


def read_candles(category: Category, instrument: Instrument, symbol: str, name: str, payload: bytes) -> VenueCandles:
    """Read a page of candles, ascending, closed or not; Bybit tells no counts and no taker volumes: 0."""
    page = _page(category, payload, wire.KlineRow)
    _same(page.symbol, symbol)
    return kline_page(instrument.name, timeframe(name), (_candle(instrument, row) for row in page.list))


def _instrument(category: Category, row: wire.Listed) -> Instrument | None:
    expiry = _expiry(category, row)
    if expiry is None or len(row.symbol) > bybit_symbols.LONGEST:
        return None
    tick = step(row.price_filter.tick_size, "tick size")
    lot = step(row.lot_size_filter.qty_step or row.lot_size_filter.base_precision, "lot size")
    found = bybit_symbols.instrument(category, row.symbol, row.base_coin, row.quote_coin, expiry, tick, lot)
    try:
        Instrument.parse(found.name)
    except UserError:
        return None
    return found


def _candle(instrument: Instrument, row: wire.KlineRow) -> Candle:
    start, volume = micros(row.start, "start of the kline"), volumes(instrument, row.volume, row.turnover)
    return Candle(start, row.open, row.high, row.low, row.close, *volume)


def _expiry(category: Category, row: wire.Listed) -> str | None:
    if category == "spot":
        return ""
    if not row.contract_type.endswith("Futures"):
        return "PERP" if row.contract_type.endswith("Perpetual") else None
    at = micros(row.delivery_time, "delivery time")
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y%m%d")


def _page(category: Category, payload: bytes, kind: type[_T]) -> wire.Page[_T]:
    page = _result(payload, wire.Page[kind])  # type: ignore[valid-type]
    if page.category != category:
        raise MalformedFrame(f"an answer about {page.category} instead of {category}")
    return page


def _result(payload: bytes, kind: type[_T]) -> _T:
    answer = read_json(payload, wire.Envelope, _ANSWER)
    if answer.ret_code:
        raise MalformedFrame(f"Bybit refused: {answer.ret_code}: {' '.join(answer.ret_msg[:160].split())}")
    return read_json(bytes(answer.result), kind, _ANSWER)


def _same(found: str, symbol: str) -> None:
    if found != symbol:
        raise MalformedFrame(f"an answer about {found[:40]!r} instead of {symbol}")
