"""How a frame of Bybit is read: an answer, or data of a topic; what a topic may bring."""

import re
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges import bounds
from exchanges import bybit_wire as wire
from exchanges.json_names import refuse_repeated_names
from exchanges.klines_check import check_kline
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Quote, Trade
from exchanges.number_texts import price_told, whole
from exchanges.passing_words import passing
from exchanges.text_ids import text_id

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a symbol or raises `MalformedFrame`."""

INTERVALS = {
    "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30", "1h": "60", "2h": "120", "4h": "240", "6h": "360",
    "12h": "720", "1d": "D", "1w": "W", "1M": "M",
}  # fmt: skip
"""Bybit's name of a timeframe, in topics and in REST."""

_TIMEFRAMES = {interval: name for name, interval in INTERVALS.items()}
_TOPIC = re.compile(r"(publicTrade|orderbook\.[0-9]{1,4}|kline\.[0-9A-Z]{1,3}|tickers)\.([A-Z0-9-]{3,30})")
_NAMED = re.compile(r"\b(?:publicTrade|orderbook\.[0-9]+|kline\.[0-9A-Z]+|tickers)\.[A-Za-z0-9-]+")
_MAX_WORDS = 1000


def read(frame: bytes, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame; raise `MalformedFrame` where it is none of Bybit v5's, and nothing else.

    A refusal has no code, only words: they tell one that passes (``Internal server error``). Source:
    bybit-exchange/docs, v5 WebSocket, connect.
    """
    try:
        return _read(frame, instrument_of)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedFrame(f"not a frame of Bybit: {str(error)[:160]}") from None
    except (RecursionError, ValueError):
        raise MalformedFrame("not a frame of Bybit: nested too deep, or a number too long") from None


def _read(frame: bytes, instrument_of: InstrumentOf) -> list[Message]:
    # The decoder does not look into members that it passes over: neither at their text nor for repetitions.
    text = str(frame, "utf-8")
    head = msgspec.json.decode(text, type=wire.Head)
    refuse_repeated_names(text)
    if head.topic is UNSET:
        return _answer(head)
    match = _TOPIC.fullmatch(head.topic)
    if match is None or head.op is not UNSET or head.success is not UNSET:
        raise MalformedFrame(f"unknown topic {head.topic[:60]!r}")
    kind, _, detail = match[1].partition(".")
    if kind == "publicTrade":
        return _trades(text, match[2], instrument_of)
    if kind == "kline":
        return _klines(text, match[2], detail, instrument_of)
    if kind == "tickers":
        return _mark_price(text, match[2], instrument_of)
    return _quote(text, match[2], instrument_of) if detail == "1" else []


def side(taker: Literal["Buy", "Sell"]) -> Literal["buy", "sell"]:
    """Give the taker's side in our words."""
    return "buy" if taker == "Buy" else "sell"


def _answer(head: wire.Head) -> list[Message]:
    if head.op == "pong" or (head.op == "ping" and head.success is True and head.ret_msg == "pong"):
        return []
    if head.op not in ("subscribe", "unsubscribe") or head.success is UNSET:
        raise MalformedFrame("neither data of a topic nor an answer to a request")
    number, named = head.req_id or None, tuple(dict.fromkeys(_NAMED.findall(head.ret_msg[:_MAX_WORDS])))
    if head.success:
        return [Ack(number)]
    if named and "already subscribed" in head.ret_msg:
        # The stream comes; but nothing else of its request was taken in.
        return [Ack(number, named)]
    return [ErrorReply(0, head.ret_msg, number, named or None, passing(head.ret_msg))]


def _same(symbol: str, topic_symbol: str) -> None:
    if symbol != topic_symbol:
        raise MalformedFrame(f"a topic of {topic_symbol} brought {symbol[:40]!r}")


def _trades(text: str, symbol: str, instrument_of: InstrumentOf) -> list[Message]:
    event = msgspec.json.decode(text, type=wire.TradeEvent)
    name, sent = instrument_of(symbol).name, bounds.micros(event.ts, "event time")
    found: list[Message] = []
    for row in event.data:
        _same(row.s, symbol)
        bounds.trade_value(row.p, row.v)
        time = bounds.micros(row.T, "trade time")
        found.append(Trade(name, "execution", text_id(row.i), time, sent, row.p, row.v, side(row.S), 1))
    return found


def _quote(text: str, symbol: str, instrument_of: InstrumentOf) -> list[Message]:
    event = msgspec.json.decode(text, type=wire.BookEvent)
    _same(event.data.s, symbol)
    bid, ask = _best(event.data.b, "bid"), _best(event.data.a, "ask")
    sent = bounds.micros(event.ts, "event time")
    time = sent if event.cts is UNSET else bounds.micros(event.cts, "matching time")
    # Not u, which begins at 1 again when the service does.
    number = bounds.identifier(event.data.seq, "cross sequence")
    return [Quote(instrument_of(symbol).name, number, time, sent, *bid, *ask)]


def _best(levels: list[tuple[str, str]], what: str) -> tuple[str, str]:
    if not levels:
        return "0", "0"
    if len(levels) > 1:
        raise MalformedFrame(f"{len(levels)} levels of {what} where one is the best")
    bounds.price(levels[0][0], what)
    bounds.size(levels[0][1], f"{what} size")
    return levels[0]


def _klines(text: str, symbol: str, interval: str, instrument_of: InstrumentOf) -> list[Message]:
    event, found = msgspec.json.decode(text, type=wire.KlineEvent), list[Message]()
    instrument, sent = instrument_of(symbol), bounds.micros(event.ts, "event time")
    for k in event.data:
        if k.interval != interval or interval not in _TIMEFRAMES:
            raise MalformedFrame(f"kline {k.interval[:10]!r} on a topic of {interval!r}")
        length, start = TIMEFRAMES[_TIMEFRAMES[interval]], bounds.micros(k.start, "start of the kline")
        check_kline(length, start, k.open, k.high, k.low, k.close)
        if bounds.micros(k.end, "end of the kline") != length.end(start) - 1000:
            raise MalformedFrame(f"kline {length} at {start} ends elsewhere: {k.end}")
        values = (k.open, k.high, k.low, k.close, *volumes(instrument, k.volume, k.turnover))
        untold = (None, None, None, None, None)
        found.append(Kline(instrument.name, length.name, start, sent, *values, *untold, closed=k.confirm))
    return found


def volumes(instrument: Instrument, volume: str, turnover: str) -> tuple[str, str]:
    """Check and give volume and quote volume: an inverse contract's volume is in its quote asset already."""
    bounds.total(volume)
    bounds.total(turnover, "turnover")
    return volume, volume if instrument.size_unit == "quote" else turnover


def _mark_price(text: str, symbol: str, instrument_of: InstrumentOf) -> list[Message]:
    event = msgspec.json.decode(text, type=wire.TickerEvent)
    ticker, instrument = event.data, instrument_of(symbol)
    _same(ticker.symbol, symbol)
    if not instrument.expiry:
        return []
    if ticker.mark_price:
        bounds.price(ticker.mark_price, "mark price")
    index = price_told(ticker.index_price, "index price")
    if ticker.funding_rate:
        bounds.rate(ticker.funding_rate)
    due = whole(ticker.next_funding_time or "0", "funding time")
    told = (ticker.mark_price or None, index, ticker.funding_rate or None)
    funding = bounds.micros(due, "funding time") if due else None
    time = bounds.micros(event.ts, "event time")
    if (*told, funding) == (None, None, None, None):
        return []
    return [MarkPrice(instrument.name, time, time, *told, funding)]
