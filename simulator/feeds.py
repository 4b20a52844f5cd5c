"""Feeds: what is told on one topic as time passes, rendered once for all who listen."""

import math
import time
from abc import ABC, abstractmethod
from dataclasses import replace

from core.candles import Candle
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch
from simulator.dialect import Dialect, Frames
from simulator.exchange import SimulatedExchange
from simulator.topic import Mark, Quote, Topic

_NEVER = 2**62
_EVERY = 1.0
"""Seconds between two looks at an open candle or a mark price."""


class Feed(ABC):
    """Tell one topic of a dialect; ``now`` is the tape's time (µs), ``reading`` the monotonic clock's (s).

    It is advanced when there are trades of its market, if it ``follows_trades``, and without any when the monotonic
    clock reaches ``due`` or the tape's ``closes``.
    """

    follows_trades = False

    def __init__(self, exchange: SimulatedExchange, dialect: Dialect, topic: Topic, now: int) -> None:
        self.exchange, self.dialect, self.topic, self.market = exchange, dialect, topic, topic.market
        self.due = 0.0
        self.closes = _NEVER

    def opening(self, now: int) -> Frames:
        """Give what a new subscriber is told at first."""
        return ()

    @abstractmethod
    def advance(self, now: int, reading: float, trades: TradeBatch | None) -> Frames:
        """Give what is told at a time; ``trades`` are those since the last time, in venue time."""

    def sent(self) -> int:
        """Give the venue's time."""
        return self.exchange.venue_now()

    def is_due(self, reading: float) -> bool:
        """Tell whether it is time for another look, and begin to wait for the next."""
        due = reading >= self.due
        if due:
            self.due = reading + _EVERY
        return due


class TradeFeed(Feed):
    """Tell every trade."""

    follows_trades = True

    def __init__(self, exchange: SimulatedExchange, dialect: Dialect, topic: Topic, now: int) -> None:
        super().__init__(exchange, dialect, topic, now)
        self.due = math.inf

    def opening(self, now: int) -> Frames:
        """Give the recent ones, where the venue tells them."""
        recent = self.dialect.manners.recent
        if not recent:
            return ()
        trades = self.exchange.tape.last(self.market.native, now, recent)
        if not len(trades):
            return ()
        shifted = replace(trades, ts=trades.ts + self.exchange.clock.shift)
        return self.dialect.trades(self.topic, shifted, self.sent(), True)

    def advance(self, now: int, reading: float, trades: TradeBatch | None) -> Frames:
        """Give the trades."""
        return () if trades is None else self.dialect.trades(self.topic, trades, self.sent(), False)


class QuoteFeed(Feed):
    """Tell best bid and ask when a trade has moved them; of a burst the last, nobody can see the others."""

    follows_trades = True

    def __init__(self, exchange: SimulatedExchange, dialect: Dialect, topic: Topic, now: int) -> None:
        super().__init__(exchange, dialect, topic, now)
        self.last = Quote.at(exchange, topic.market, now)
        self.repeat = dialect.manners.repeat
        self.due = time.monotonic() + self.repeat if self.repeat else math.inf

    def opening(self, now: int) -> Frames:
        """Give the quote as it is."""
        return () if self.last is None else self.dialect.quote(self.topic, self.last, self.sent(), True)

    def advance(self, now: int, reading: float, trades: TradeBatch | None) -> Frames:
        """Give the new quote, or the old one once more after a while."""
        quote = self.last if trades is None else Quote.at(self.exchange, self.market, now)
        if quote is None:
            return ()
        moved = self.last is None or quote.bid != self.last.bid
        if not moved and reading < self.due:
            return ()
        # Repeated under its own id and time: it has not changed.
        self.last = quote if moved else self.last
        self.due = reading + self.repeat if self.repeat else math.inf
        return self.dialect.quote(self.topic, self.last or quote, self.sent(), False)


class KlineFeed(Feed):
    """Tell the open candle about once a second when trades changed it, and each one when it is closed."""

    def __init__(self, exchange: SimulatedExchange, dialect: Dialect, topic: Topic, now: int) -> None:
        super().__init__(exchange, dialect, topic, now)
        self.timeframe = TIMEFRAMES[topic.timeframe]
        self.open = self.timeframe.floor(exchange.clock.venue(now))
        self.closes = exchange.clock.tape(self.timeframe.end(self.open))
        self.last: Candle | None = None

    def opening(self, now: int) -> Frames:
        """Give the candle as far as it is."""
        venue = self.exchange.clock.venue(now)
        found = self._candles(self.timeframe.floor(venue), venue)
        return self.dialect.kline(self.topic, found[-1], False, self.sent(), True) if found else ()

    def advance(self, now: int, reading: float, trades: TradeBatch | None) -> Frames:
        """Give the candles that have closed, and the open one."""
        venue, due = self.exchange.clock.venue(now), self.is_due(reading)
        if now < self.closes and not due:
            return ()
        # Closed as the clock passed its end, so no trade of it can come any more.
        found = self._candles(self.open, venue)
        self.open = self.timeframe.floor(venue)
        self.closes = self.exchange.clock.tape(self.timeframe.end(self.open))
        frames = [frame for candle in found if candle.start < self.open for frame in self._told(candle, True)]
        forming = [candle for candle in found if candle.start >= self.open]
        if due and forming and forming[0] != self.last:
            self.last = forming[0]
            frames += self._told(forming[0], False)
        return frames

    def _candles(self, start: int, venue: int) -> list[Candle]:
        return self.exchange.candles(self.market.source, self.timeframe, start, venue + 1, venue).candles()

    def _told(self, candle: Candle, closed: bool) -> Frames:
        return self.dialect.kline(self.topic, candle, closed, self.sent(), False)


class MarkPriceFeed(Feed):
    """Tell the mark price about once a second."""

    def opening(self, now: int) -> Frames:
        """Give it as it is."""
        return self._told(now, True)

    def advance(self, now: int, reading: float, trades: TradeBatch | None) -> Frames:
        """Give it when it is time."""
        return self._told(now, False) if self.is_due(reading) else ()

    def _told(self, now: int, snapshot: bool) -> Frames:
        mark = Mark.at(self.exchange, self.market, now)
        return () if mark is None else self.dialect.mark_price(self.topic, mark, self.sent(), snapshot)


FEEDS: dict[str, type[Feed]] = {
    "trade": TradeFeed,
    "aggregate": TradeFeed,
    "quote": QuoteFeed,
    "kline": KlineFeed,
    "mark_price": MarkPriceFeed,
}
