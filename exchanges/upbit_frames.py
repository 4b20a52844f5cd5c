"""How a frame of Upbit is read: data in long or in short names, a state, an error."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import UNSET

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES, Timeframe
from exchanges import bounds
from exchanges import upbit_wire as wire
from exchanges.json_names import refuse_repeated_names
from exchanges.klines_check import check_kline
from exchanges.messages import ErrorReply, Kline, Message, Quote, Trade
from exchanges.number_texts import number_text, sum_text

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a code or raises `MalformedFrame`."""

CANDLES = {
    "1s": "candle.1s", "1m": "candle.1m", "3m": "candle.3m", "5m": "candle.5m", "15m": "candle.15m",
    "30m": "candle.30m", "1h": "candle.60m", "4h": "candle.240m",
}  # fmt: skip
"""Upbit's type of a timeframe's candles."""

_Long = TypeVar("_Long")
_Short = TypeVar("_Short")
_TIMEFRAMES = {kind: name for name, kind in CANDLES.items()}
_PASSING = frozenset({"TOO_MANY_REQUEST", "429"})
_PASSED_OVER = frozenset({"ticker", "candle.10m"})
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")


def read(frame: bytes, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame; raise `MalformedFrame` where it is none of Upbit's, and nothing else.

    The refusal that passes is TOO_MANY_REQUEST, 429 where names are numbers. Source: docs.upbit.com, errors and rate
    limits of the WebSocket.
    """
    try:
        return _read(frame, instrument_of)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedFrame(f"not a frame of Upbit: {str(error)[:160]}") from None
    except (RecursionError, ValueError):
        raise MalformedFrame("not a frame of Upbit: nested too deep, or a number too long") from None


def _read(frame: bytes, instrument_of: InstrumentOf) -> list[Message]:
    # The decoder does not look into members that it passes over: neither at their text nor for repetitions.
    text = str(frame, "utf-8")
    head = msgspec.json.decode(text, type=wire.Head)
    refuse_repeated_names(text)
    told = [part for part in (head.type, head.ty, head.status, head.error) if part is not UNSET]
    if len(told) != 1:
        raise MalformedFrame("neither data of one type, nor a state, nor an error")
    if head.error is not UNSET:
        told_as = str(head.error.name)
        return [ErrorReply(0, f"{told_as}: {head.error.message}", passing=told_as in _PASSING)]
    if head.status is not UNSET:
        return []
    short, kind = head.type is UNSET, str(told[0])
    if kind == "trade":
        return [_trade(_either(text, short, wire.Trade, wire.ShortTrade), instrument_of)]
    if kind == "orderbook":
        return _quote(_either(text, short, wire.Book, wire.ShortBook), instrument_of)
    if kind in _TIMEFRAMES:
        candle = _either(text, short, wire.Candle, wire.ShortCandle)
        return [_kline(candle, TIMEFRAMES[_TIMEFRAMES[kind]], instrument_of)]
    if kind in _PASSED_OVER:
        return []
    raise MalformedFrame(f"unknown type {kind[:40]!r}")


def start_of(candle: wire.Candle | wire.ShortCandle | wire.Bar) -> int:
    """Read when a candle begins, µs since the epoch, UTC."""
    text = candle.candle_date_time_utc
    if _MOMENT.fullmatch(text) is None:
        raise MalformedFrame(f"start of the kline {text[:40]!r} is not written YYYY-MM-DDTHH:MM:SS")
    try:
        seconds = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise MalformedFrame(f"start of the kline {text!r} is no time") from None
    return bounds.micros(seconds * 1000, "start of the kline")


def values_of(
    candle: wire.Candle | wire.ShortCandle | wire.Bar, length: Timeframe, start: int
) -> tuple[str, str, str, str, str, str]:
    """Read and check open, high, low, close, volume and quote volume.

    The volumes are sums of doubles: what they have beyond 18 decimals is rounding error and is rounded away.
    """
    opened, high = number_text(candle.opening_price, "open"), number_text(candle.high_price, "high")
    low, close = number_text(candle.low_price, "low"), number_text(candle.trade_price, "close")
    check_kline(length, start, opened, high, low, close)
    volume = sum_text(candle.candle_acc_trade_volume, "volume")
    value = sum_text(candle.candle_acc_trade_price, "quote volume")
    bounds.total(volume)
    bounds.total(value, "quote volume")
    return opened, high, low, close, volume, value


def price_and_size(row: wire.Trade | wire.ShortTrade | wire.Tick) -> tuple[str, str]:
    """Read and check the price and the size of a trade."""
    price, size = number_text(row.trade_price, "price"), number_text(row.trade_volume, "size")
    bounds.trade_value(price, size)
    return price, size


def _either(text: str, short: bool, long_names: type[_Long], short_names: type[_Short]) -> _Long | _Short:
    return msgspec.json.decode(text, type=short_names) if short else msgspec.json.decode(text, type=long_names)


def _trade(row: wire.Trade | wire.ShortTrade, instrument_of: InstrumentOf) -> Trade:
    return Trade(
        instrument_of(row.code).name,
        "execution",
        bounds.identifier(row.sequential_id, "trade id"),
        bounds.micros(row.trade_timestamp, "trade time"),
        bounds.micros(row.timestamp, "event time"),
        *price_and_size(row),
        "sell" if row.ask_bid == "ASK" else "buy",
        1,
    )


def _quote(book: wire.Book | wire.ShortBook, instrument_of: InstrumentOf) -> list[Message]:
    name, time = instrument_of(book.code).name, bounds.micros(book.timestamp, "event time")
    if book.level:
        return []  # Prices rounded to a coarser step: the best of them is no best price.
    bid = bid_size = ask = ask_size = "0"
    for best in book.orderbook_units[:1]:
        bid, bid_size = number_text(best.bid_price, "bid"), number_text(best.bid_size, "bid size")
        ask, ask_size = number_text(best.ask_price, "ask"), number_text(best.ask_size, "ask size")
    for price, size, what in ((bid, bid_size, "bid"), (ask, ask_size, "ask")):
        bounds.price(price, what, zero=True)
        bounds.size(size, f"{what} size", zero=True)
    return [Quote(name, 0, time, time, bid, bid_size, ask, ask_size)]


def _kline(candle: wire.Candle | wire.ShortCandle, length: Timeframe, instrument_of: InstrumentOf) -> Kline:
    name, start = instrument_of(candle.code).name, start_of(candle)
    sent = bounds.micros(candle.timestamp, "event time")
    untold = (None, None, None, None, None)
    return Kline(name, length.name, start, sent, *values_of(candle, length, start), *untold, closed=None)
