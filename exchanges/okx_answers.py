"""What OKX answers by REST; every reader raises `MalformedFrame` and nothing else.

Source: OKX docs-v5, REST. Every answer is wrapped in code, words and a list, newest first.
"""

from decimal import Decimal
from typing import TypeVar

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe
from core.trades import TradeBatch
from exchanges import number_texts, okx_symbols
from exchanges import okx_wire as wire
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json, read_part
from exchanges.kline_page import kline_page
from exchanges.messages import IdSpace
from exchanges.okx_frames import candle
from exchanges.trade_page import Row, trade_page

SPACES: dict[str, IdSpace] = {"trade": "trade", "aggregate": "merged"}
"""Our channels of trades to what their ids are good for."""

_T = TypeVar("_T")


def read_types(payload: bytes) -> set[str]:
    """Read of which types a list of instruments is."""
    return {row.inst_type for row in _read(payload, wire.ListedRow)}


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    rows = _read(payload, wire.TimeRow)
    if len(rows) != 1:
        raise MalformedFrame("not the time of OKX: not one row")
    return number_texts.micros(rows[0].ts, "server time")


def read_instruments(payload: bytes, exchange: str) -> list[Instrument]:
    """Read the instruments of one type that trade, with tick and lot, and for derivatives what a contract is.

    Left out are those that are not live, those that our names cannot express, and odd rows (`listed`).
    """
    live = [row for row in _read(payload, wire.ListedRow) if row.state == "live"]
    return listed(live, lambda row: _instrument(row, exchange), lambda row: row.inst_id, "OKX")


def read_trades(instrument: Instrument, symbol: str, channel: str, payload: bytes, now: int) -> TradeBatch | None:
    """Read a page of trades: each fill for itself, in the id space of the channel."""
    page = sorted(_trade(row, symbol) for row in _read(payload, wire.TradeRow))
    return trade_page(instrument.name, SPACES[channel], page, now)


def read_first_trade(payload: bytes) -> int | None:
    """Read the id that follows the one that `last_before` asked for; None where the venue has none before."""
    rows = _read(payload, wire.TradeRow)
    return number_texts.whole(rows[0].trade_id, "trade id") + 1 if rows else None


def read_candles(instrument: Instrument, name: str, payload: bytes) -> VenueCandles:
    """Read a page of candles; see `exchanges.kline_page.kline_page` for what OKX does not tell."""
    rows = _read(payload, wire.CandleRow)
    return kline_page(instrument.name, timeframe(name), (candle(row) for row in rows))


def _read(payload: bytes, kind: type[_T]) -> list[_T]:
    answer = read_json(payload, wire.Answer, "an answer of OKX")
    if answer.code != "0":
        raise MalformedFrame(f"OKX refused: {answer.code[:20]}: {' '.join(answer.msg[:160].split())}")
    return read_part(answer.data, list[kind], "an answer of OKX")  # type: ignore[valid-type]


def _trade(row: wire.TradeRow, symbol: str) -> Row:
    if row.inst_id != symbol:
        raise MalformedFrame(f"a page of trades of {symbol} holds one of {row.inst_id[:40]!r}")
    return (
        number_texts.whole(row.trade_id, "trade id"),
        number_texts.whole(row.ts, "trade time"),
        row.px,
        row.sz,
        row.side,
    )


def _instrument(row: wire.ListedRow, exchange: str) -> Instrument | None:
    try:
        known = okx_symbols.split(row.inst_id, exchange)
    except MalformedFrame:
        return None
    if bool(known.expiry) != (row.inst_type != "SPOT"):
        raise MalformedFrame(f"{row.inst_id} is listed as {row.inst_type[:20]!r}")
    multiplier = Decimal(1)
    if known.expiry:
        value, times = (
            number_texts.step(row.ct_val, "contract value"),
            number_texts.step(row.ct_mult or "1", "ctMult"),
        )
        if value is None or times is None:
            return None
        multiplier = value * times
    return Instrument(
        known.venue,
        known.base,
        known.quote,
        known.expiry,
        row.inst_id,
        number_texts.step(row.tick_sz, "tick size"),
        number_texts.step(row.lot_sz, "lot size"),
        multiplier,
        known.size_unit,
    )
