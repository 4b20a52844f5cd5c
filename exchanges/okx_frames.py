"""How a frame of OKX is read: an event, or the data of a channel."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from msgspec import UNSET, Raw

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges import bounds, number_texts, okx_streams
from exchanges import okx_wire as wire
from exchanges.json_payload import read_json, read_part
from exchanges.kline_page import Candle, checked
from exchanges.messages import Ack, ErrorReply, IdSpace, Kline, MarkPrice, Message, Quote, Shutdown, Trade
from exchanges.okx_symbols import SWAP

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a symbol or raises `MalformedFrame`."""

_T = TypeVar("_T")
_CLOSING = 64008
_PASSING = frozenset({60014, 63999, 64007})
_HEARTBEAT = b"pong"


def read(frame: bytes, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame; raise `MalformedFrame` and nothing else.

    Refusals that pass: 60014 (requests too frequent), 63999 and 64007 (internal error, try again later). Source: OKX
    docs-v5, error codes of the WebSocket.
    """
    if frame == _HEARTBEAT:
        return []
    head = read_json(frame, wire.Head, "a frame of OKX")
    if head.event is not UNSET:
        return _event(head, head.event, received_at)
    if head.arg is UNSET or head.data is UNSET:
        raise MalformedFrame("neither an event nor data of a channel")
    reader = _READERS.get(head.arg.channel, _candles if head.arg.channel in okx_streams.TIMEFRAMES else None)
    if reader is None:
        okx_streams.pass_over(head.arg.channel)
        return []
    return reader(head.arg, head.data, received_at, instrument_of)


def _event(head: wire.Head, event: str, received_at: int) -> list[Message]:
    if event == "error":
        return _error(head)
    if event == "notice":
        return [Shutdown(received_at)] if _code(head) == _CLOSING else []
    if event in ("subscribe", "unsubscribe") and head.arg is not UNSET:
        stream = okx_streams.stream(head.arg)
        return [Ack(head.id, (stream,))] if stream else []
    if event == "channel-conn-count":
        return []
    raise MalformedFrame(f"unknown event {event[:40]!r}")


def _error(head: wire.Head) -> list[Message]:
    arg = okx_streams.named(head.msg) if head.arg is UNSET else head.arg
    stream = okx_streams.stream(arg) if arg else None
    code = _code(head)
    if arg and not stream and code not in _PASSING:
        # A mark price without its index or its funding rate is still one: the stream is not refused.
        return []
    return [ErrorReply(code, head.msg, head.id, (stream,) if stream else None, code in _PASSING)]


def _code(head: wire.Head) -> int:
    if head.code is UNSET:
        raise MalformedFrame("an error or a notice without a code")
    return number_texts.whole(str(head.code), "code")


def _rows(raw: Raw, kind: type[_T], arg: wire.Arg) -> list[_T]:
    rows = read_part(raw, list[kind], f"data of {arg.channel[:40]}")  # type: ignore[valid-type]
    for row in rows:
        symbol = getattr(row, "inst_id", arg.inst_id)
        if symbol != arg.inst_id:
            raise MalformedFrame(f"{arg.channel} of {arg.inst_id[:40]!r} brought {symbol[:40]!r}")
    return rows


def _trades(arg: wire.Arg, data: Raw, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    space: IdSpace = "merged" if arg.channel == "trades" else "trade"
    name = instrument_of(arg.inst_id).name
    return [_trade(row, name, space) for row in _rows(data, wire.TradeRow, arg)]


def _trade(row: wire.TradeRow, name: str, space: IdSpace) -> Trade:
    number = bounds.identifier(number_texts.whole(row.trade_id, "trade id"), "trade id")
    fills = number_texts.whole(row.count, "count of fills")
    if not 1 <= fills <= min(bounds.MAX_FILLS, number) or (space == "trade" and fills != 1):
        raise MalformedFrame(f"trade {number} cannot stand for {fills} fills")
    bounds.trade_value(row.px, row.sz)
    time = number_texts.micros(row.ts, "trade time")
    return Trade(name, space, number, time, time, row.px, row.sz, row.side, fills)


def _quotes(arg: wire.Arg, data: Raw, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    name = instrument_of(arg.inst_id).name
    return [_quote(row, name) for row in _rows(data, wire.BookRow, arg)]


def _quote(row: wire.BookRow, name: str) -> Quote:
    bid, bid_size = _best(row.bids, "bid")
    ask, ask_size = _best(row.asks, "ask")
    if not 0 <= row.seq_id <= bounds.MAX_ID:
        raise MalformedFrame("the number of a book update is out of bounds")
    time = number_texts.micros(row.ts, "book time")
    return Quote(name, row.seq_id, time, time, bid, bid_size, ask, ask_size)


def _best(levels: list[wire.Level], what: str) -> tuple[str, str]:
    if not levels:
        return "0", "0"
    if len(levels) > 1:
        raise MalformedFrame(f"more than one {what} at the top of a book")
    bounds.price(levels[0].px, what)
    bounds.size(levels[0].sz, f"{what} size")
    return levels[0].px, levels[0].sz


def _candles(arg: wire.Arg, data: Raw, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    timeframe = okx_streams.TIMEFRAMES[arg.channel]
    name = instrument_of(arg.inst_id).name
    return [_kline(name, timeframe, row, received_at) for row in _rows(data, wire.CandleRow, arg)]


def _kline(name: str, timeframe: str, row: wire.CandleRow, received_at: int) -> Kline:
    k = checked(candle(row), TIMEFRAMES[timeframe])
    return Kline(
        name,
        timeframe,
        k.start,
        received_at,
        *(k.open, k.high, k.low, k.close, k.volume, k.quote_volume),
        trade_count=None,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        first_id=None,
        last_id=None,
        closed=row.confirm == "1",
    )


def candle(row: wire.CandleRow) -> Candle:
    """Name the members of a candle; its volume is in contracts for derivatives, its quote volume is in quote."""
    start = number_texts.micros(row.start, "start of the kline")
    return Candle(start, row.open, row.high, row.low, row.close, row.volume, row.volume_quote)


def _marks(arg: wire.Arg, data: Raw, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    name, found = instrument_of(arg.inst_id).name, list[Message]()
    for row in _rows(data, wire.MarkRow, arg):
        bounds.price(row.mark_px, "mark price")
        time = number_texts.micros(row.ts, "mark time")
        found.append(MarkPrice(name, time, time, row.mark_px, None, None, None))
    return found


def _indexes(arg: wire.Arg, data: Raw, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    name, found = instrument_of(arg.inst_id + SWAP).name, list[Message]()
    for row in _rows(data, wire.IndexRow, arg):
        bounds.price(row.idx_px, "index price")
        time = number_texts.micros(row.ts, "index time")
        found.append(MarkPrice(name, time, time, None, row.idx_px, None, None))
    return found


def _fundings(arg: wire.Arg, data: Raw, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    name, found = instrument_of(arg.inst_id).name, list[Message]()
    for row in _rows(data, wire.FundingRow, arg):
        bounds.rate(row.funding_rate)
        # Older frames bring no time of their own.
        time = number_texts.micros(row.ts, "funding sent") if row.ts else received_at
        paid = number_texts.micros(row.funding_time, "funding time")
        found.append(MarkPrice(name, time, time, None, None, row.funding_rate, paid))
    return found


_READERS: dict[str, Callable[[wire.Arg, Raw, int, InstrumentOf], list[Message]]] = {
    "trades": _trades,
    "trades-all": _trades,
    "bbo-tbt": _quotes,
    "mark-price": _marks,
    "index-tickers": _indexes,
    "funding-rate": _fundings,
}
