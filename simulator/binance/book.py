"""The order book: invented around the last price, the same for everybody who asks at the same time."""

from dataclasses import dataclass
from decimal import Decimal

from simulator.binance.market import Market, exact
from simulator.tapes.tape import Tape

LEVELS = 100
"""Levels of each side."""

Level = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Book:
    """Hold the book after a trade: best bid and ask stand one tick around its price.

    ``update_id`` is the trade's id. ``ts`` is its time (µs on the tape). A level's size depends on its price alone,
    so that a move of the price changes the ends of the book and nothing else.
    """

    market: Market
    update_id: int
    ts: int
    price: Decimal

    @classmethod
    def at(cls, tape: Tape, market: Market, now: int) -> "Book | None":
        """Give the book at a time of the tape, None before the first trade."""
        trades = tape.last(market.symbol, now, 1)
        if not len(trades):
            return None
        return cls(market, int(trades.ids[-1]), int(trades.ts[-1]), exact(float(trades.price[-1])))

    @property
    def best(self) -> tuple[Level, Level]:
        """Give best bid and best ask, each price and size."""
        return self.bids(1)[0], self.asks(1)[0]

    def bids(self, limit: int = LEVELS) -> list[Level]:
        """Give the bids, the best one first."""
        prices = (self.price - self.market.tick * n for n in range(1, min(limit, LEVELS) + 1))
        return [self._level(price) for price in prices if price > 0] or [self._level(self.market.tick)]

    def asks(self, limit: int = LEVELS) -> list[Level]:
        """Give the asks, the best one first."""
        return [self._level(self.price + self.market.tick * n) for n in range(1, min(limit, LEVELS) + 1)]

    def since(self, before: "Book") -> tuple[list[Level], list[Level]]:
        """Give what changed in bids and asks since another book; a size of zero takes a level away."""
        return self._changes(before.bids(), self.bids()), self._changes(before.asks(), self.asks())

    def _changes(self, old: list[Level], new: list[Level]) -> list[Level]:
        known, there = dict(old), dict(new)
        gone = [(price, self.market.size(Decimal(0))) for price in known if price not in there]
        return gone + [(price, size) for price, size in new if known.get(price) != size]

    def _level(self, price: Decimal) -> Level:
        number = int(price / self.market.tick)
        lots = 1 + (number * 2_654_435_761 >> 8) % 9_000
        return self.market.price(price), self.market.size(self.market.lot * lots)
