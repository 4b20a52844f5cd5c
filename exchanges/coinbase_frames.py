"""The frames of Coinbase Exchange, and how one is read.

Source: docs.cdp.coinbase.com, Exchange WebSocket (overview, channels, errors). ``side`` of a match is the maker's:
"sell" is an up-tick, the taker bought. In a ticker it is the taker's, and not read. A frame has the time when it
happened and none when it was sent: ``sent`` is that time too.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct

from core.instruments import Instrument
from exchanges import bounds, moments
from exchanges.json_payload import read_json
from exchanges.messages import Ack, ErrorReply, Message, Quote, Trade
from exchanges.passing_words import passing

InstrumentOf: TypeAlias = Callable[[str], Instrument]
"""Gives the instrument of a product or raises `MalformedFrame`."""

Side: TypeAlias = Literal["buy", "sell"]
TAKER: dict[Side, Side] = {"buy": "sell", "sell": "buy"}
"""The maker's side to the taker's."""


class Match(Struct, frozen=True, tag_field="type", tag="match"):
    """Hold a trade; its ``sequence``, which is not read, counts the product's frames of all channels."""

    trade_id: int
    product_id: str
    price: str
    size: str
    side: Side
    time: moments.Moment


class LastMatch(Match, frozen=True, tag="last_match"):
    """Hold the newest trade, with which a subscription to ``matches`` begins."""


class Ticker(Struct, frozen=True, tag_field="type", tag="ticker"):
    """Hold the best bid and ask; it comes with matches, not with every change of the book."""

    sequence: int
    product_id: str
    best_bid: str
    best_bid_size: str
    best_ask: str
    best_ask_size: str
    time: moments.Moment


class Heartbeat(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Hold what the channel ``heartbeat`` says every second; we do not subscribe to it."""

    product_id: str
    last_trade_id: int


class Subscriptions(Struct, frozen=True, tag_field="type", tag="subscriptions"):
    """Hold the answer to a request that was accepted: all that the connection now carries."""

    channels: list[dict[str, object]]


class Error(Struct, frozen=True, tag_field="type", tag="error"):
    """Hold the answer to a request that was refused, as a whole, or why the connection ends."""

    message: str
    reason: str = ""


_ENDINGS = frozenset({"ErrSlowConsume", "ErrSlowRead"})
_FRAME = Match | LastMatch | Ticker | Heartbeat | Subscriptions | Error


def read(frame: bytes, instrument_of: InstrumentOf) -> list[Message]:
    """Read a frame; raise `MalformedFrame` and nothing else.

    An error has no code, only words: they tell one that passes (``rate limit exceeded``). ErrSlowConsume and
    ErrSlowRead say why the connection ends, and refuse nothing.
    """
    told: object = read_json(frame, _FRAME, "a frame of Coinbase")  # type: ignore[arg-type]
    match told:
        case Match():
            return [_trade(told, instrument_of(told.product_id).name)]
        case Ticker():
            return [_quote(told, instrument_of(told.product_id).name)]
        case Subscriptions():
            # It names what was taken in before, too, and not what an unsubscription took out.
            return [Ack(None)]
        case Error():
            words = f"{told.message}: {told.reason}" if told.reason else told.message
            return [ErrorReply(0, words, passing=told.message in _ENDINGS or passing(words))]
    return []


def _trade(told: Match, name: str) -> Trade:
    bounds.trade_value(told.price, told.size)
    time = moments.micros(told.time, "trade time")
    number = bounds.identifier(told.trade_id, "trade id")
    return Trade(name, "trade", number, time, time, told.price, told.size, TAKER[told.side], 1)


def _quote(told: Ticker, name: str) -> Quote:
    bounds.price(told.best_bid, "bid", zero=True)
    bounds.size(told.best_bid_size, "bid size", zero=True)
    bounds.price(told.best_ask, "ask", zero=True)
    bounds.size(told.best_ask_size, "ask size", zero=True)
    time, number = moments.micros(told.time, "time of the ticker"), bounds.identifier(told.sequence, "sequence")
    best = (told.best_bid, told.best_bid_size, told.best_ask, told.best_ask_size)
    return Quote(name, number, time, time, *best)
