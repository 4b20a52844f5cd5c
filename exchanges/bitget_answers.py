"""What Bitget answers by REST; every reader raises `MalformedFrame` and nothing else.

Source: bitget.com/api-doc, REST of spot and of contracts. Every answer is wrapped in code, words and data.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, TypeVar

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe
from core.trades import TradeBatch
from exchanges import bitget_wire as wire
from exchanges import bounds, number_texts
from exchanges.bitget_frames import candle
from exchanges.instrument_list import listed
from exchanges.json_payload import read_json, read_part
from exchanges.kline_page import kline_page
from exchanges.trade_page import Row, trade_page

_T = TypeVar("_T")
_DONE = "00000"


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    return number_texts.micros(_read(payload, wire.ServerTime).server_time, "server time")


def read_spot(payload: bytes, exchange: str) -> list[Instrument]:
    """Read the pairs that are online, with tick and lot; left out is what our names cannot express."""
    rows = [row for row in _read(payload, list[wire.SpotRow]) if row.status == "online"]

    def read(row: wire.SpotRow) -> Instrument | None:
        tick, lot = _decimals(row.price_precision), _decimals(row.quantity_precision)
        return _instrument(f"{exchange}:{row.base_coin}-{row.quote_coin}", row.symbol, tick, lot)

    return listed(rows, read, lambda row: row.symbol, exchange)


def read_contracts(payload: bytes, exchange: str) -> list[Instrument]:
    """Read the contracts that trade, with tick and lot in base; left out is what our names cannot express."""

    def read(row: wire.ContractRow) -> Instrument | None:
        expiry = _expiry(row) if row.symbol_status == "normal" else None
        if expiry is None:
            return None
        tick = number_texts.step(row.price_end_step, "price step")
        tick = tick * _decimals(row.price_place) if tick else None
        lot = number_texts.step(row.size_multiplier, "size step")
        return _instrument(f"{exchange}:{row.base_coin}-{row.quote_coin}-{expiry}", row.symbol, tick, lot)

    return listed(_read(payload, list[wire.ContractRow]), read, lambda row: row.symbol, exchange)


def read_trades(instrument: Instrument, symbol: str, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of ``fills-history``, ascending by time and id.

    Its times may be of whole seconds: of the same trade a frame tells the millisecond. The id tells them to be one.
    """
    rows = [_trade(row, symbol) for row in _read(payload, list[wire.PagedTradeRow])]
    return trade_page(instrument.name, "execution", sorted(rows, key=lambda row: (row[1], row[0])), received_at)


def read_candles(instrument: Instrument, name: str, payload: bytes) -> VenueCandles:
    """Read a page of candles; see `exchanges.kline_page.kline_page` for what Bitget does not tell.

    Spot has the turnover in USDT before the one in quote; contracts have the one in quote first.
    """
    spot = not instrument.expiry
    rows = _read(payload, list[wire.CandleRow])
    return kline_page(
        instrument.name,
        timeframe(name),
        (candle(row, row.other_turnover if spot else row.turnover) for row in rows),
    )


def _read(payload: bytes, kind: type[_T]) -> _T:
    answer = read_json(payload, wire.Answer, "an answer of Bitget")
    if answer.code != _DONE:
        raise MalformedFrame(f"Bitget refused: {answer.code[:20]}: {' '.join(answer.msg[:160].split())}")
    return read_part(answer.data, kind, "an answer of Bitget")


def _trade(row: wire.PagedTradeRow, symbol: str) -> Row:
    if row.symbol != symbol:
        raise MalformedFrame(f"a page of trades of {symbol} holds one of {row.symbol[:40]!r}")
    time = number_texts.whole(row.ts, "trade time")
    # Ten digits are seconds.
    time = bounds.micros(time * 1000 if time < 10**10 else time, "trade time")
    side: Literal["buy", "sell"] = "buy" if row.side in ("buy", "Buy") else "sell"
    return number_texts.whole(row.trade_id, "trade id"), time, row.price, row.size, side


def _expiry(row: wire.ContractRow) -> str | None:
    if row.symbol_type == "perpetual":
        return "PERP"
    if row.symbol_type != "delivery" or not row.delivery_time:
        return None
    seconds = number_texts.micros(row.delivery_time, "delivery time") / 1e6
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d")


def _instrument(name: str, symbol: str, tick: Decimal | None, lot: Decimal | None) -> Instrument | None:
    if len(symbol) > bounds.MAX_TEXT:
        return None
    try:
        known = Instrument.parse(name)
    except UserError:
        return None
    return Instrument(known.venue, known.base, known.quote, known.expiry, symbol, tick, lot)


def _decimals(text: str) -> Decimal:
    number = number_texts.whole(text, "number of decimals")
    if number > bounds.MAX_DECIMALS:
        raise MalformedFrame(f"{number} decimals are too many")
    return Decimal(1).scaleb(-number)
