"""What a frame says, whatever venue sent it.

Times are µs since the epoch, UTC: ``time`` is when it happened at the venue, ``sent`` when the venue sent it.
Prices and sizes are the venue's own text, checked but not changed.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

IdSpace = Literal["trade", "aggregate", "merged", "execution"]
"""What a trade's id is good for; the spaces of one instrument are never mixed.

``trade``: one id a fill, each the one before plus 1; ``aggregate``: one id for fills of one order at one price, each
the one before plus 1; ``merged``: fills of one order at one price under the id of the last of them, so that the row
stands for the ids ``id - fills + 1`` to ``id``; ``execution``: an id that tells trades apart and proves nothing
(exchanges.md, table 0.2).
"""


class Trade(Struct, frozen=True, tag="trade", tag_field="type"):
    """Hold one public trade.

    ``side`` is the taker's; ``fills`` is how many venue trades it stands for (1 outside ``aggregate``, ``merged``).
    """

    instrument: str
    id_space: IdSpace
    id: int
    time: int
    sent: int
    price: str
    size: str
    side: Literal["buy", "sell"]
    fills: int


class Quote(Struct, frozen=True, tag="quote", tag_field="type"):
    """Hold the best bid and ask.

    ``id`` orders the updates of one instrument, 0 where the venue has none. Where the venue sends no time, ``time``
    and ``sent`` are the time of receipt. An empty side of the book has price and size 0.
    """

    instrument: str
    id: int
    time: int
    sent: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


class Kline(Struct, frozen=True, tag="kline", tag_field="type"):
    """Hold the venue's own candle of [start, start + timeframe); ``closed`` says that it will not change.

    ``closed`` is None where the venue does not say: a candle is closed once a later one has come. What else the
    venue does not tell is None too; ``first_id`` and ``last_id`` are trade ids, None where ``trade_count`` is 0.
    """

    instrument: str
    timeframe: str
    start: int
    sent: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str | None
    trade_count: int | None
    taker_buy_volume: str | None
    taker_buy_quote_volume: str | None
    first_id: int | None
    last_id: int | None
    closed: bool | None


class MarkPrice(Struct, frozen=True, tag="mark_price", tag_field="type"):
    """Hold what a derivative is marked at; None for what this update does not tell.

    ``funding_rate`` is a share of the position's value per funding interval, paid by longs where it is above 0;
    ``next_funding`` is when it is paid (µs since the epoch, UTC).
    """

    instrument: str
    time: int
    sent: int
    mark: str | None
    index: str | None
    funding_rate: str | None
    next_funding: int | None


class Ack(Struct, frozen=True, tag="ack", tag_field="type"):
    """Say that the venue accepted a request; no proof that data will come.

    ``id`` is the request's, None where the venue does not repeat it. ``streams`` are those that were accepted where
    the venue names them: one of several (OKX), or all that it knows (Deribit); none: all of the request.
    """

    id: int | str | None
    streams: tuple[str, ...] | None = None


class ErrorReply(Struct, frozen=True, tag="error", tag_field="type"):
    """Say that the venue refused a request, in its own code (0: none) and words.

    ``streams`` are those that were refused, where the venue names them. ``passing``: the same request may be accepted
    later, on another connection; the venue is overloaded, or was asked too much.
    """

    code: int
    message: str
    id: int | str | None = None
    streams: tuple[str, ...] | None = None
    passing: bool = False


class Ping(Struct, frozen=True, tag="ping", tag_field="type"):
    """Say that the venue wants to hear ``reply`` at once, or it closes the connection (Deribit's test_request)."""

    reply: str


class Shutdown(Struct, frozen=True, tag="shutdown", tag_field="type"):
    """Say that the venue is about to close this connection: open the next one first."""

    sent: int


Message: TypeAlias = Trade | Quote | Kline | MarkPrice | Ack | ErrorReply | Ping | Shutdown
"""What `exchanges.venue.Venue.parse` yields."""
