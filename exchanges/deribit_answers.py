"""What Deribit answers by REST; every reader raises `MalformedFrame` and nothing else."""

from dataclasses import replace
from decimal import Decimal

from msgspec import Raw

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch
from exchanges import bounds, deribit_symbols
from exchanges import deribit_wire as wire
from exchanges.deribit_frames import read_candle, read_trade
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json
from exchanges.kline_page import kline_page
from exchanges.number_texts import number_text
from exchanges.trade_page import trade_page

_ANSWER = "an answer of Deribit"
_UNITS = {"reversed": "quote", "linear": "base"}


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    return bounds.micros(read_json(payload, wire.ServerTime, _ANSWER).result, "server time")


def read_instruments(payload: bytes) -> list[Instrument]:
    """Read the futures, perpetuals and spot pairs that trade, with tick, lot and contract size.

    Left out are options and combinations, those that are not active, those that our names cannot express, and odd
    rows (`listed`).
    """
    rows = read_json(payload, wire.Instruments, _ANSWER).result
    return listed(rows, _instrument, lambda row: row.instrument_name, "Deribit")


def _instrument(row: wire.Listed) -> Instrument | None:
    if row.kind not in ("future", "spot") or not row.is_active:
        return None
    try:
        instrument = deribit_symbols.split(row.instrument_name)
    except MalformedFrame:
        return None
    return _described(instrument, row)


def _described(instrument: Instrument, row: wire.Listed) -> Instrument:
    unit = _UNITS.get(row.instrument_type or "", instrument.size_unit)
    if instrument.expiry and unit != instrument.size_unit:
        raise MalformedFrame(f"{row.instrument_name!r} is listed as {row.instrument_type}")
    return replace(
        instrument,
        tick=_step(row.tick_size, "tick size"),
        lot=_step(row.min_trade_amount, "smallest amount"),
        multiplier=_step(row.contract_size, "contract size"),
    )


def _step(raw: Raw, what: str) -> Decimal:
    mantissa, decimals = bounds.price(number_text(raw, what), what)
    return Decimal(mantissa).scaleb(-decimals)


def read_trades(instrument: Instrument, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of trades, sorted by ``trade_seq``: the newest ones come newest first."""
    symbol = deribit_symbols.join(instrument)
    answer = read_json(payload, wire.TradesAnswer, _ANSWER)
    rows = sorted(read_trade(row, symbol) for row in answer.result.trades)
    return trade_page(instrument.name, "trade", rows, received_at)


def read_candles(instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
    """Read a page of candles, ascending, closed or not.

    Deribit tells neither trade count nor taker volume: they are 0. `exchanges.deribit_frames.read_candle` says what
    the volumes are.
    """
    chart = read_json(payload, wire.ChartAnswer, _ANSWER).result
    columns = chart.ticks, chart.open, chart.high, chart.low, chart.close, chart.volume, chart.cost
    if len({len(column) for column in columns}) != 1:
        raise MalformedFrame("the columns of a chart differ in length")
    candles = (read_candle(wire.Candle(*values), instrument) for values in zip(*columns, strict=True))
    return kline_page(instrument.name, TIMEFRAMES[timeframe], candles)
