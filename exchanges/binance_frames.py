"""How a frame of Binance is read: which event it is, whether it may come on its stream, what it says."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges import binance_streams, bounds
from exchanges import binance_wire as wire
from exchanges.json_names import refuse_repeated_names
from exchanges.messages import Ack, ErrorReply, IdSpace, Kline, MarkPrice, Message, Quote, Shutdown, Trade
from exchanges.number_texts import price_told
from exchanges.passing_words import passing

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a symbol or raises `MalformedFrame`."""

_PASSING = frozenset({-1000, -1001, -1003, -1006, -1007, -1008})


def read(frame: bytes, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame; raise `MalformedFrame`, `msgspec.MsgspecError`, `ValueError` or `RecursionError`.

    Refusals that pass: -1000 (unknown error), -1001 (internal error), -1003 (too many requests), -1006 and -1007 (no
    answer in time), -1008 (overload), and those whose words say so. Source: binance-spot-api-docs, errors.md.
    """
    # The decoder does not look into members that it passes over: neither at their text nor for repetitions.
    text = str(frame, "utf-8")
    head, body, stream = msgspec.json.decode(text, type=wire.Head), frame, None
    refuse_repeated_names(text)
    if head.stream is not UNSET:
        if head.data is UNSET:
            raise MalformedFrame(f"stream {head.stream[:60]!r} brought no data")
        stream, body = head.stream, bytes(head.data)
        if body.startswith(b"["):
            return _nothing_of_many(stream, body)
        head = msgspec.json.decode(body, type=wire.Head)
    elif head.e is UNSET and (head.result, head.error, head.code) != (UNSET, UNSET, UNSET):
        return [_reply(head, body)]
    event, symbol = _event(head), None if head.s is UNSET else head.s
    refined = "" if stream is None else binance_streams.check(stream, event, symbol)
    reader = _READERS.get(event)
    # Klines of another time zone (@kline_1d@+08:00) are no candles of ours.
    if reader is None or (event == "kline" and "@" in refined):
        return []
    return [reader(body, received_at, instrument_of, refined)]


def _event(head: wire.Head) -> str:
    if head.e is not UNSET:
        if head.e not in binance_streams.KNOWN:
            raise MalformedFrame(f"unknown event {head.e[:40]!r}")
        return head.e
    if head.last_update_id is not UNSET:
        return binance_streams.PARTIAL_DEPTH
    if head.u is not UNSET:
        return "bookTicker"
    raise MalformedFrame("neither an event nor a reply")


def _nothing_of_many(stream: str, body: bytes) -> list[Message]:
    # Arrays come on streams of all symbols (!ticker@arr, !markPrice@arr), none of which is recorded.
    for head in msgspec.json.decode(body, type=list[wire.Head]):
        event = _event(head)
        binance_streams.check(stream, event, None)
        if event in _READERS and event != "markPriceUpdate":
            raise MalformedFrame(f"stream {stream[:60]!r} brought an array of {event}")
    return []


def _reply(head: wire.Head, body: bytes) -> Message:
    if head.error is not UNSET:
        reply = msgspec.json.decode(body, type=wire.RefusalReply)
        return _refused(reply.error, reply.id)
    if head.code is not UNSET:
        return _refused(msgspec.json.decode(body, type=wire.Refusal), None)
    return Ack(msgspec.json.decode(body, type=wire.Reply).id)


def _refused(refusal: wire.Refusal, number: int | str | None) -> ErrorReply:
    return ErrorReply(refusal.code, refusal.msg, number, passing=refusal.code in _PASSING or passing(refusal.msg))


def _trade(body: bytes, received_at: int, instrument_of: InstrumentOf, refined: str) -> Message:
    event = msgspec.json.decode(body, type=wire.TradeEvent)
    return _row(event, "trade", bounds.identifier(event.t, "trade id"), 1, instrument_of)


def _aggregate(body: bytes, received_at: int, instrument_of: InstrumentOf, refined: str) -> Message:
    event = msgspec.json.decode(body, type=wire.AggregateEvent)
    fills = bounds.fill_count(event.f, event.l)
    return _row(event, "aggregate", bounds.identifier(event.a, "aggregate trade id"), fills, instrument_of)


def _row(
    event: wire.TradeEvent | wire.AggregateEvent, space: IdSpace, number: int, fills: int, instrument_of: InstrumentOf
) -> Trade:
    bounds.trade_value(event.p, event.q)
    return Trade(
        instrument_of(event.s).name,
        space,
        number,
        bounds.micros(event.T, "trade time"),
        bounds.micros(event.E, "event time"),
        event.p,
        event.q,
        "sell" if event.m else "buy",  # m: the buyer is the maker
        fills,
    )


def _quote(body: bytes, received_at: int, instrument_of: InstrumentOf, refined: str) -> Message:
    event = msgspec.json.decode(body, type=wire.BookTicker)
    bounds.price(event.b, "bid", zero=True)
    bounds.size(event.B, "bid size", zero=True)
    bounds.price(event.a, "ask", zero=True)
    bounds.size(event.A, "ask size", zero=True)
    time = received_at if event.T is UNSET else bounds.micros(event.T, "transaction time")
    sent = received_at if event.E is UNSET else bounds.micros(event.E, "event time")
    number = bounds.identifier(event.u, "book update id")
    return Quote(instrument_of(event.s).name, number, time, sent, event.b, event.B, event.a, event.A)


def _kline(body: bytes, received_at: int, instrument_of: InstrumentOf, refined: str) -> Message:
    event = msgspec.json.decode(body, type=wire.KlineEvent)
    k, start = event.k, bounds.micros(event.k.t, "start of the kline")
    if k.s != event.s or k.i not in TIMEFRAMES or (refined and refined != f"_{k.i}"):
        raise MalformedFrame(f"kline of {k.s[:40]!r} {k.i[:10]!r} in the place of another")
    if TIMEFRAMES[k.i].floor(start) != start:
        raise MalformedFrame(f"kline {k.i} begins at {start}, which is no start of that timeframe in UTC")
    for text, what in ((k.o, "open"), (k.h, "high"), (k.l, "low"), (k.c, "close")):
        bounds.price(text, what)
    for text, what in ((k.v, "volume"), (k.q, "quote volume"), (k.V, "buy volume"), (k.Q, "buy quote volume")):
        bounds.total(text, what)
    if not 0 <= k.n <= bounds.MAX_ID:
        raise MalformedFrame("the number of trades of a kline is out of bounds")
    return Kline(
        instrument_of(event.s).name,
        k.i,
        start,
        bounds.micros(event.E, "event time"),
        *(k.o, k.h, k.l, k.c, k.v, k.q, k.n, k.V, k.Q),
        # Without trades f and L are no ids: -1 has been seen.
        first_id=bounds.identifier(k.f, "first trade id") if k.n else None,
        last_id=bounds.identifier(k.L, "last trade id") if k.n else None,
        closed=k.x,
    )


def _mark_price(body: bytes, received_at: int, instrument_of: InstrumentOf, refined: str) -> Message:
    event = msgspec.json.decode(body, type=wire.MarkPriceEvent)
    bounds.price(event.p, "mark price")
    if event.r:
        bounds.rate(event.r)
    sent = bounds.micros(event.E, "event time")
    return MarkPrice(
        instrument_of(event.s).name,
        time=sent,
        sent=sent,
        mark=event.p,
        index=price_told(event.i, "index price"),
        funding_rate=event.r or None,
        next_funding=bounds.micros(event.T, "next funding time") if event.T else None,
    )


def _shutdown(body: bytes, received_at: int, instrument_of: InstrumentOf, refined: str) -> Message:
    return Shutdown(bounds.micros(msgspec.json.decode(body, type=wire.ShutdownEvent).E, "event time"))


_READERS: dict[str, Callable[[bytes, int, InstrumentOf, str], Message]] = {
    "trade": _trade,
    "aggTrade": _aggregate,
    "bookTicker": _quote,
    "kline": _kline,
    "markPriceUpdate": _mark_price,
    "serverShutdown": _shutdown,
}
