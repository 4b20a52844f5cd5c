"""Topics: what a client can subscribe to, and what is told on one beside trades and candles."""

from collections.abc import Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from core.timeframes import HOUR
from simulator.binance.book import Book
from simulator.exchange import SimulatedExchange
from simulator.venue_market import VenueMarket

Kind = Literal["trade", "aggregate", "kline", "quote", "mark_price"]

FUNDING_RATE = Decimal("0.0001")
"""A share of the position's value, paid every eight hours."""

_FUNDING_INTERVAL = 8 * HOUR


@dataclass(frozen=True, slots=True)
class Topic:
    """Name one stream of a dialect; equal ones are rendered once, whoever listens.

    ``key`` is the client's own argument in a form that can be hashed, with all that changes how frames look (a
    format that a connection has chosen): it tells the topics of a connection apart. ``timeframe`` is ours (``1m``),
    of klines only.
    """

    kind: Kind
    market: VenueMarket
    key: Hashable
    timeframe: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """Hold best bid and ask; ``id`` rises with each change, ``time`` is venue time (µs since the epoch, UTC)."""

    id: int
    time: int
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal

    @classmethod
    def at(cls, exchange: SimulatedExchange, market: VenueMarket, now: int) -> "Quote | None":
        """Give the quote at a time of the tape, None before the first trade."""
        book = Book.at(exchange.tape, market.source, now)
        if book is None:
            return None
        (bid, bids), (ask, asks) = book.best
        time = exchange.clock.venue(book.ts)
        return cls(book.update_id, time, Decimal(bid), Decimal(bids), Decimal(ask), Decimal(asks))


@dataclass(frozen=True, slots=True)
class Mark:
    """Hold what a derivative is marked at: mark and index are the last price; times are venue time (µs)."""

    time: int
    price: Decimal
    index: Decimal
    funding_rate: Decimal
    next_funding: int

    @classmethod
    def at(cls, exchange: SimulatedExchange, market: VenueMarket, now: int) -> "Mark | None":
        """Give the mark at a time of the tape, None before the first trade."""
        book = Book.at(exchange.tape, market.source, now)
        if book is None:
            return None
        time = exchange.clock.venue(now)
        following = (time // _FUNDING_INTERVAL + 1) * _FUNDING_INTERVAL
        return cls(time, book.price, book.price, FUNDING_RATE, following)
