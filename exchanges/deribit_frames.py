"""How a frame of Deribit is read: notification, heartbeat or reply.

Deribit says when a trade or a quote was, not when it was sent: ``sent`` is that time too. Candles have no time but
their start: theirs is the time of receipt. Each check is here; what is refused raises `MalformedFrame`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from core.errors import MalformedFrame
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges import bounds
from exchanges import deribit_wire as wire
from exchanges.deribit_symbols import is_inverse
from exchanges.json_names import refuse_repeated_names
from exchanges.kline_page import Candle, checked
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Ping, Quote, Trade
from exchanges.number_texts import number_text, price_told, sum_text
from exchanges.trade_page import Row

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a symbol or raises `MalformedFrame`."""

OURS = 0
"""The id of what we ask beside subscriptions: its replies say nothing of them."""

TEST = '{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}'
"""What a ``test_request`` wants to hear."""

RESOLUTIONS = {
    **{f"{minutes}m": str(minutes) for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": str(60 * hours) for hours in (1, 2, 6, 12)},
    "1d": "1D",
}
"""Deribit's names of our timeframes; its 10 and 180 minutes are none of ours."""

_TIMEFRAMES = {resolution: name for name, resolution in RESOLUTIONS.items()}
_INTERVALS = frozenset({"100ms", "raw", "agg2"})
_PASSING = frozenset({10028, 10040, 10041, 10047, 10066, 11051, 11094, 13028, 13888})


@dataclass(frozen=True, slots=True)
class _Told:
    """Hold what a channel brought: ``refined`` is what follows the symbol in the channel's name."""

    data: Raw
    symbol: str
    instrument: Instrument
    refined: str
    received_at: int


def read(frame: bytes, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame; raise `MalformedFrame` and nothing else.

    Refusals that pass: 10028 and 10066 (too many requests), 10040 (retry), 10041 (settlement in progress), 10047
    (queue full), 11051 (maintenance), 11094 (internal error), 13028 (temporarily unavailable), 13888 (timed out).
    Source: docs.deribit.com, RPC error codes.
    """
    try:
        return _read(frame, received_at, instrument_of)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedFrame(f"not a frame of Deribit: {str(error)[:160]}") from None
    except (RecursionError, ValueError):
        raise MalformedFrame("not a frame of Deribit: nested too deep, or a number too long") from None


def _read(frame: bytes, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    # The decoder does not look into members that it passes over: neither at their text nor for repetitions.
    text = str(frame, "utf-8")
    head = msgspec.json.decode(text, type=wire.Head)
    refuse_repeated_names(text)
    if head.method is UNSET:
        return [_refused(head)] if head.result is UNSET else _accepted(head, head.result)
    if head.params is UNSET or (head.id, head.result, head.error) != (UNSET, UNSET, UNSET):
        raise MalformedFrame("a notification without parameters, or with members of a reply")
    if head.method == "subscription":
        return _notified(msgspec.json.decode(head.params, type=wire.Notification), received_at, instrument_of)
    if head.method == "heartbeat":
        beat = msgspec.json.decode(head.params, type=wire.Beat)
        return [Ping(TEST)] if beat.type == "test_request" else []
    raise MalformedFrame(f"unknown method {head.method[:40]!r}")


def _accepted(head: wire.Head, result: Raw) -> list[Message]:
    if head.error is not UNSET:
        raise MalformedFrame("a reply that both accepts and refuses")
    if bytes(result)[:1] == b"[":
        return [Ack(_number(head), tuple(msgspec.json.decode(result, type=list[str])))]
    if _number(head) != OURS:
        raise MalformedFrame("a reply that is none to a subscription")
    if bytes(result) != b'"ok"':
        msgspec.json.decode(result, type=wire.Version)
    return []


def _refused(head: wire.Head) -> Message:
    if head.error is UNSET:
        raise MalformedFrame("neither a notification nor a reply")
    refusal, number = msgspec.json.decode(head.error, type=wire.Refusal), _number(head)
    streams = () if number == OURS else None
    return ErrorReply(refusal.code, _words(refusal), number, streams, refusal.code in _PASSING)


def _number(head: wire.Head) -> int | str | None:
    return None if head.id is UNSET else head.id


def _words(refusal: wire.Refusal) -> str:
    # Invalid params are explained beside: {"reason":"…","param":"channels"}.
    told = bytes(refusal.data) if refusal.data is not UNSET else b"null"
    return refusal.message if told == b"null" else f"{refusal.message}: {told[:200].decode(errors='replace')}"


def _notified(told: wire.Notification, received_at: int, instrument_of: InstrumentOf) -> list[Message]:
    kind, _, rest = told.channel.partition(".")
    if kind == "chart":
        trades, _, rest = rest.partition(".")
        kind = f"chart.{trades}"
    symbol, _, refined = rest.partition(".")
    reader = _READERS.get(kind)
    if reader is None:
        raise MalformedFrame(f"unknown channel {told.channel[:60]!r}")
    return reader(_Told(told.data, symbol, instrument_of(symbol), refined, received_at))


def _trades(told: _Told) -> list[Message]:
    _check_interval(told)
    rows = msgspec.json.decode(told.data, type=list[wire.TradeRow])
    return [_trade(row, told) for row in rows]


def _trade(row: wire.TradeRow, told: _Told) -> Trade:
    number, time, price, size, side = read_trade(row, told.symbol)
    return Trade(told.instrument.name, "trade", number, time, time, price, size, side, 1)


def _quote(told: _Told) -> list[Message]:
    if told.refined:
        raise MalformedFrame(f"unknown channel quote….{told.refined[:40]!r}")
    quote = msgspec.json.decode(told.data, type=wire.Quote)
    _check_symbol(quote.instrument_name, told.symbol)
    time = bounds.micros(quote.timestamp, "time of the quote")
    bid = _side(quote.best_bid_price, quote.best_bid_amount, "bid")
    ask = _side(quote.best_ask_price, quote.best_ask_amount, "ask")
    return [Quote(told.instrument.name, 0, time, time, *bid, *ask)]


def _side(price: Raw, size: Raw, what: Literal["bid", "ask"]) -> tuple[str, str]:
    if bytes(price) == b"null":
        return "0", "0"
    texts = number_text(price, what), number_text(size, f"{what} size")
    bounds.price(texts[0], what, zero=True)
    bounds.size(texts[1], f"{what} size", zero=True)
    return texts


def _ticker(told: _Told) -> list[Message]:
    _check_interval(told)
    ticker = msgspec.json.decode(told.data, type=wire.Ticker)
    _check_symbol(ticker.instrument_name, told.symbol)
    time = bounds.micros(ticker.timestamp, "time of the ticker")
    mark = number_text(ticker.mark_price, "mark price")
    bounds.price(mark, "mark price")
    index = price_told(_told(ticker.index_price, "index price"), "index price")
    funding = None if ticker.current_funding is UNSET else number_text(ticker.current_funding, "funding rate")
    if funding is not None:
        bounds.rate(funding)
    # Funding is paid all the time: there is no next one.
    return [MarkPrice(told.instrument.name, time, time, mark, index, funding, None)]


def _told(raw: Raw | UnsetType, what: str) -> str | None:
    return None if raw is UNSET or bytes(raw) == b"null" else number_text(raw, what)


def _candle(told: _Told) -> list[Message]:
    if told.refined not in _TIMEFRAMES:
        raise MalformedFrame(f"unknown resolution {told.refined[:20]!r}")
    name = _TIMEFRAMES[told.refined]
    k = checked(read_candle(msgspec.json.decode(told.data, type=wire.Candle), told.instrument), TIMEFRAMES[name])
    return [
        Kline(
            told.instrument.name,
            name,
            k.start,
            told.received_at,
            *(k.open, k.high, k.low, k.close, k.volume, k.quote_volume),
            trade_count=None,
            taker_buy_volume=None,
            taker_buy_quote_volume=None,
            first_id=None,
            last_id=None,
            closed=None,
        )
    ]


def _book(told: _Told) -> list[Message]:
    _check_symbol(msgspec.json.decode(told.data, type=wire.Book).instrument_name, told.symbol)
    return []


_READERS: dict[str, Callable[[_Told], list[Message]]] = {
    "trades": _trades,
    "quote": _quote,
    "ticker": _ticker,
    "chart.trades": _candle,
    "book": _book,
}


def read_trade(row: wire.TradeRow, symbol: str) -> Row:
    """Give id, time (µs since the epoch, UTC), price, size and side of a trade of ``symbol``."""
    _check_symbol(row.instrument_name, symbol)
    price, size = number_text(row.price, "price"), number_text(row.amount, "size")
    bounds.trade_value(price, size)
    number = bounds.identifier(row.trade_seq, "trade_seq")
    return number, bounds.micros(row.timestamp, "trade time"), price, size, row.direction


def read_candle(row: wire.Candle, instrument: Instrument) -> Candle:
    """Give a candle, its values not yet checked.

    ``volume`` is in the unit of the trades' sizes: where they are US dollars, it is Deribit's ``cost``. Both are sums
    of doubles: what they have beyond 18 decimals is rounding error and is rounded away.
    """
    start = bounds.micros(row.tick, "start of the kline")
    sides = (row.open, "open"), (row.high, "high"), (row.low, "low"), (row.close, "close")
    open_, high, low, close = (number_text(raw, what) for raw, what in sides)
    volume, cost = sum_text(row.volume, "volume"), sum_text(row.cost, "cost")
    return Candle(start, open_, high, low, close, cost if is_inverse(instrument) else volume, cost)


def _check_symbol(named: str, symbol: str) -> None:
    if named != symbol:
        raise MalformedFrame(f"{named[:40]!r} in the place of {symbol[:40]!r}")


def _check_interval(told: _Told) -> None:
    if told.refined not in _INTERVALS:
        raise MalformedFrame(f"unknown interval {told.refined[:20]!r} of {told.symbol[:40]!r}")
