"""What ccxt's REST calls gave, in our own form; readers raise `MalformedFrame` and nothing else."""

from decimal import Decimal

import msgspec

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe
from core.trades import TradeBatch
from exchanges import bounds, ccxt_symbols, number_texts, trade_page
from exchanges.ccxt_frames import Row, checked
from exchanges.json_payload import read_json
from exchanges.kline_page import Candle, kline_page

_WHAT = "an answer of ours from ccxt"


class Market(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold a market; ``tick``, ``lot`` and ``size`` (of a contract) are decimals as text, empty where not told."""

    symbol: str
    tick: str
    lot: str
    size: str


class _Time(msgspec.Struct, frozen=True):
    time: int


class _Markets(msgspec.Struct, frozen=True):
    markets: list[Market]


class _Trades(msgspec.Struct, frozen=True):
    trades: list[Row]


class _Candles(msgspec.Struct, frozen=True):
    candles: list[tuple[int, str, str, str, str, str]]


def read_time(payload: bytes) -> int:
    """Read the venue's time, µs since the epoch, UTC."""
    return bounds.micros(read_json(payload, _Time, _WHAT).time)


def read_markets(exchange_id: str, payload: bytes) -> list[Instrument]:
    """Read the markets that have a name here; see `exchanges.ccxt_symbols.named_once`."""
    found = []
    for market in read_json(payload, _Markets, _WHAT).markets:
        try:
            steps = number_texts.step(market.tick, "tick"), number_texts.step(market.lot, "lot")
            size = number_texts.step(market.size, "contract size") or Decimal(1)
            found.append(ccxt_symbols.instrument(exchange_id, market.symbol, *steps, size))
        except MalformedFrame:
            continue
    return ccxt_symbols.named_once(found)


def read_trades(instrument: str, payload: bytes, received_at: int) -> TradeBatch | None:
    """Read a page of trades, ascending by time, each once; None for an empty one."""
    rows: dict[int, trade_page.Row] = {}
    for row in read_json(payload, _Trades, _WHAT).trades:
        number, time = checked(row)
        rows.setdefault(number, (number, time, row.price, row.amount, row.side))
    page = sorted(rows.values(), key=lambda row: row[1])
    return trade_page.trade_page(instrument, "execution", page, received_at)


def read_candles(instrument: str, name: str, payload: bytes) -> VenueCandles:
    """Read a page of candles; ccxt tells no value, number of trades or side: they stand as 0."""
    length = timeframe(name)
    rows = read_json(payload, _Candles, _WHAT).candles
    candles = (
        Candle(bounds.micros(start, "kline start"), opened, high, low, close, volume, "0")
        for start, opened, high, low, close, volume in rows
    )
    return kline_page(instrument, length, candles)
