"""How a frame of Bitget v2 is read: an event, or the data of a channel. Frames of v1 are refused.

Version 1 names its types ``sp`` and ``mc`` and sends trades as lists without an id.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from msgspec import UNSET, Raw

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges import bitget_streams, bounds, number_texts
from exchanges import bitget_wire as wire
from exchanges.json_payload import read_json, read_part
from exchanges.kline_page import Candle, checked
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Quote, Trade

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a symbol or raises `MalformedFrame`."""

_T = TypeVar("_T")
_HEARTBEAT = b"pong"
_PASSING = frozenset({30006, 30007})


def read(frame: bytes, kind: str, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame of one type of instruments (``SPOT``); raise `MalformedFrame` and nothing else.

    Refusals that pass: 30006 (request too many) and 30007 (request over limit, connection close). Source: Bitget API,
    error codes of the WebSocket.
    """
    if frame == _HEARTBEAT:
        return []
    head = read_json(frame, wire.Head, "a frame of Bitget")
    if head.event is not UNSET:
        return [_event(head, head.event, kind)]
    if head.op == "unsubscribe" and head.args is not UNSET:
        return [Ack(None, tuple(_accepted(arg, kind) for arg in head.args))]
    if head.arg is UNSET or head.data is UNSET or head.action is UNSET or head.ts is UNSET:
        raise MalformedFrame("neither an event nor data of a channel")
    _of_kind(head.arg, kind)
    sent = bounds.micros(head.ts, "time of the frame")
    reader = _READERS.get(head.arg.channel, _candles if head.arg.channel in bitget_streams.TIMEFRAMES else None)
    if reader is None:
        bitget_streams.pass_over(head.arg.channel)
        return []
    return reader(head.arg, head.data, sent, instrument_of(head.arg.inst_id))


def _event(head: wire.Head, event: str, kind: str) -> Message:
    if event == "error":
        if head.code is UNSET:
            raise MalformedFrame("an error without a code")
        arg = bitget_streams.named(head.msg) if head.arg is UNSET else head.arg
        code = number_texts.whole(str(head.code), "code")
        return ErrorReply(code, head.msg, None, (bitget_streams.stream(arg),) if arg else None, code in _PASSING)
    if event in ("subscribe", "unsubscribe") and head.arg is not UNSET:
        return Ack(None, (_accepted(head.arg, kind),))
    raise MalformedFrame(f"unknown event {event[:40]!r}")


def _accepted(arg: wire.Arg, kind: str) -> str:
    _of_kind(arg, kind)
    return bitget_streams.stream(arg)


def _of_kind(arg: wire.Arg, kind: str) -> None:
    if arg.inst_type != kind:
        raise MalformedFrame(f"type {arg.inst_type[:20]!r} in the place of {kind}")


def _rows(raw: Raw, kind: type[_T], arg: wire.Arg) -> list[_T]:
    return read_part(raw, list[kind], f"data of {arg.channel[:40]}")  # type: ignore[valid-type]


def _trades(arg: wire.Arg, data: Raw, sent: int, instrument: Instrument) -> list[Message]:
    # Newest first, in the snapshot that a subscription begins with and in what follows.
    return [_trade(row, sent, instrument.name) for row in reversed(_rows(data, wire.TradeRow, arg))]


def _trade(row: wire.TradeRow, sent: int, name: str) -> Trade:
    number = bounds.identifier(number_texts.whole(row.trade_id, "trade id"), "trade id")
    bounds.trade_value(row.price, row.size)
    time = number_texts.micros(row.ts, "trade time")
    return Trade(name, "execution", number, time, sent, row.price, row.size, row.side, 1)


def _candles(arg: wire.Arg, data: Raw, sent: int, instrument: Instrument) -> list[Message]:
    timeframe = bitget_streams.TIMEFRAMES[arg.channel]
    return [_kline(instrument.name, timeframe, row, sent) for row in _rows(data, wire.CandleRow, arg)]


def _kline(name: str, timeframe: str, row: wire.CandleRow, sent: int) -> Kline:
    k = checked(candle(row, row.turnover), TIMEFRAMES[timeframe])
    return Kline(
        name,
        timeframe,
        k.start,
        sent,
        *(k.open, k.high, k.low, k.close, k.volume, k.quote_volume),
        trade_count=None,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        first_id=None,
        last_id=None,
        closed=None,
    )


def candle(row: wire.CandleRow, quote_volume: str) -> Candle:
    """Name the members of a candle; its volume is in base."""
    start = number_texts.micros(row.start, "start of the kline")
    return Candle(start, row.open, row.high, row.low, row.close, row.volume, quote_volume)


def _tickers(arg: wire.Arg, data: Raw, sent: int, instrument: Instrument) -> list[Message]:
    found = list[Message]()
    for row in _rows(data, wire.TickerRow, arg):
        if row.inst_id != arg.inst_id:
            raise MalformedFrame(f"ticker of {arg.inst_id[:40]!r} brought {row.inst_id[:40]!r}")
        time = number_texts.micros(row.ts, "time of the ticker")
        found.append(_quote(row, time, sent, instrument.name))
        if instrument.expiry:
            found.append(_mark(row, time, sent, instrument.name))
    return found


def _quote(row: wire.TickerRow, time: int, sent: int, name: str) -> Quote:
    bounds.price(row.bid_pr, "bid", zero=True)
    bounds.size(row.bid_sz, "bid size", zero=True)
    bounds.price(row.ask_pr, "ask", zero=True)
    bounds.size(row.ask_sz, "ask size", zero=True)
    return Quote(name, 0, time, sent, row.bid_pr, row.bid_sz, row.ask_pr, row.ask_sz)


def _mark(row: wire.TickerRow, time: int, sent: int, name: str) -> MarkPrice:
    # What does not apply (funding of a delivery contract) is empty or 0.
    mark = number_texts.price_told(row.mark_price, "mark price")
    index = number_texts.price_told(row.index_price, "index price")
    paid = number_texts.whole(row.next_funding_time or "0", "next funding time")
    if row.funding_rate:
        bounds.rate(row.funding_rate)
    return MarkPrice(
        name,
        time,
        sent,
        mark,
        index,
        row.funding_rate or None,
        bounds.micros(paid, "next funding time") if paid else None,
    )


_READERS: dict[str, Callable[[wire.Arg, Raw, int, Instrument], list[Message]]] = {
    "trade": _trades,
    "ticker": _tickers,
}
