"""What a frame says, whatever venue sent it.

Times are µs since the epoch, UTC: ``time`` is when it happened at the venue, ``sent`` when the venue sent it.
Prices and sizes are the venue's own text, checked but not changed.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

IdSpace = Literal["trade", "aggregate"]
"""``trade``: one id a fill; ``aggregate``: one id for fills of one order at one price. Never mixed."""


class Trade(Struct, frozen=True, tag="trade", tag_field="type"):
    """Hold one public trade.

    ``side`` is the taker's; ``fills`` is how many venue trades it stands for (1 outside ``aggregate``).
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

    ``id`` orders the updates of one instrument. Where the venue sends no time, ``time`` and ``sent`` are the
    time of receipt. An empty side of the book has price and size 0.
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

    ``first_id`` and ``last_id`` are trade ids, None where ``trade_count`` is 0.
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
    quote_volume: str
    trade_count: int
    taker_buy_volume: str
    taker_buy_quote_volume: str
    first_id: int | None
    last_id: int | None
    closed: bool


class Ack(Struct, frozen=True, tag="ack", tag_field="type"):
    """Say that the venue accepted the request ``id``; no proof that data will come."""

    id: int | str | None


class ErrorReply(Struct, frozen=True, tag="error", tag_field="type"):
    """Say that the venue refused a request, in its own code and words."""

    code: int
    message: str
    id: int | str | None = None


class Shutdown(Struct, frozen=True, tag="shutdown", tag_field="type"):
    """Say that the venue is about to close this connection: open the next one first."""

    sent: int


Message: TypeAlias = Trade | Quote | Kline | Ack | ErrorReply | Shutdown
"""What `exchanges.venue.Venue.parse` yields."""
