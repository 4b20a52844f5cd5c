"""What comes by the clock: the events of klines, depth and tickers.

Sources: binance-spot-api-docs web-socket-streams.md; USD-M streams.
"""

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from core.candles import Candle
from core.timeframes import TIMEFRAMES
from simulator.binance.book import Book
from simulator.binance.events import Form
from simulator.binance.history import bought
from simulator.binance.streams import Stream
from simulator.binance.tickers import day
from simulator.exchange import SimulatedExchange


class Pulse(ABC):
    """Follow one stream from a time of the tape on; ``due`` is the monotonic time of the next event (s)."""

    def __init__(self, exchange: SimulatedExchange, stream: Stream, now: int) -> None:
        self.exchange, self.stream, self.market = exchange, stream, stream.market
        self.due = 0.0

    def beat(self, now: int, reading: float, forms: set[Form]) -> dict[Form, list[str]]:
        """Give the frames that are due at a time of the tape and a reading of the monotonic clock, by form."""
        due = reading >= self.due
        if due:
            self.due = reading + self.stream.every
        bodies = [self._bodies(event, forms) for event in self.events(now, due)]
        return {form: [form.frame(self.stream.name, body[form]) for body in bodies] for form in forms}

    @abstractmethod
    def events(self, now: int, due: bool) -> list[Any]:
        """Give the events at a time of the tape; ``due`` says that the time between two has passed."""

    @abstractmethod
    def body(self, event: Any, form: Form) -> dict[str, Any]:
        """Give an event's members."""

    def told(self, form: Form, tape_time: int) -> int:
        """Write a time of the tape."""
        return form.time(self.exchange.clock.venue(tape_time))

    def sent(self, form: Form, now: int) -> int:
        """Write when an event is sent, by the venue's own clock."""
        return form.time(self.exchange.clock.venue(now) + self.exchange.skew)

    def _bodies(self, event: Any, forms: set[Form]) -> dict[Form, str]:
        return {form: msgspec.json.encode(self.body(event, form)).decode() for form in forms}


class KlinePulse(Pulse):
    """Tell the open candle now and then, and each one once more when it is closed (``x``)."""

    def __init__(self, exchange: SimulatedExchange, stream: Stream, now: int) -> None:
        super().__init__(exchange, stream, now)
        self.timeframe = TIMEFRAMES[stream.interval]
        self.open = self.timeframe.floor(exchange.clock.venue(now))
        self.last: Candle | None = None

    def events(self, now: int, due: bool) -> list[Any]:
        """Give (candle, closed, now)."""
        venue = self.exchange.clock.venue(now)
        closes = self.timeframe.end(self.open)
        if venue < closes and not due:
            return []
        # Closed as the clock passed its end, so no trade of it can come any more.
        found = self.exchange.candles(self.market, self.timeframe, self.open, venue + 1, venue).candles()
        self.open = self.timeframe.floor(venue)
        events = [(candle, True, now) for candle in found if candle.start < self.open]
        forming = [candle for candle in found if candle.start >= self.open]
        if due and forming and forming[0] != self.last:
            self.last = forming[0]
            events.append((forming[0], False, now))
        return events

    def body(self, event: Any, form: Form) -> dict[str, Any]:
        """Give a kline's members."""
        candle, closed, now = event
        market, end = self.market, self.timeframe.end(candle.start)
        first, last = self._ids(candle, min(end, self.exchange.clock.venue(now)))
        return {
            "e": "kline",
            "E": self.sent(form, now),
            "s": market.symbol,
            "k": {
                "t": form.time(candle.start),
                "T": form.time(end) - 1,
                "s": market.symbol,
                "i": self.timeframe.name,
                "f": first,
                "L": last,
                "o": market.price(candle.open),
                "c": market.price(candle.close),
                "h": market.price(candle.high),
                "l": market.price(candle.low),
                "v": market.size(candle.volume),
                "n": candle.trade_count,
                "x": closed,
                "q": market.value(candle.quote_volume),
                "V": market.size(candle.taker_buy_volume),
                "Q": market.value(bought(candle)),
                "B": "0",
            },
        }

    def _ids(self, candle: Candle, end: int) -> tuple[int, int]:
        if not candle.trade_count:
            return -1, -1
        tape, clock, symbol = self.exchange.tape, self.exchange.clock, self.market.symbol
        first = tape.from_time(symbol, clock.tape(candle.start), clock.tape(end), 1)
        if not len(first):
            # A fault has taken all of its trades away.
            return -1, -1
        last = tape.last(symbol, clock.tape(end), 1)
        return self.market.aggregates(first)[1][0], self.market.aggregates(last)[2][-1]


class DepthPulse(Pulse):
    """Tell what changed in the book, or its best levels."""

    def __init__(self, exchange: SimulatedExchange, stream: Stream, now: int) -> None:
        super().__init__(exchange, stream, now)
        self.before = Book.at(exchange.tape, self.market, now)

    def events(self, now: int, due: bool) -> list[Any]:
        """Give (the book before, the book, now)."""
        book = Book.at(self.exchange.tape, self.market, now) if due else None
        if book is None:
            return []
        before, self.before = self.before, book
        if self.stream.levels:
            return [(before or book, book, now)]
        return [(before, book, now)] if before is not None and book.update_id > before.update_id else []

    def body(self, event: Any, form: Form) -> dict[str, Any]:
        """Give the members of a diff or of a partial book."""
        before, book, now = event
        levels = self.stream.levels
        if levels and not self.market.futures:
            return {"lastUpdateId": book.update_id, "bids": book.bids(levels), "asks": book.asks(levels)}
        bids, asks = (book.bids(levels), book.asks(levels)) if levels else book.since(before)
        times = {"T": self.told(form, book.ts)} if self.market.futures else {}
        previous = {"pu": before.update_id} if self.market.futures else {}
        ids = {"U": min(before.update_id + 1, book.update_id), "u": book.update_id}
        head = {"e": "depthUpdate", "E": self.sent(form, now), **times, "s": self.market.symbol}
        return head | ids | previous | {"b": bids, "a": asks}


class TickerPulse(Pulse):
    """Tell the last 24 hours, in full or in short, when there was a trade since."""

    last_id = -1

    def events(self, now: int, due: bool) -> list[Any]:
        """Give (the day, the book, now)."""
        book = Book.at(self.exchange.tape, self.market, now) if due else None
        if book is None or book.update_id == self.last_id:
            return []
        self.last_id = book.update_id
        last = day(self.exchange, self.market, now)
        return [] if last is None else [(last, book, now)]

    def body(self, event: Any, form: Form) -> dict[str, Any]:
        """Give a ticker's members."""
        last, book, now = event
        market = self.market
        head = {"E": self.sent(form, now), "s": market.symbol}
        prices = {"o": last.open, "h": last.high, "l": last.low}
        written = {name: market.price(value) for name, value in prices.items()}
        sums = {"v": market.size(last.volume), "q": market.value(last.value)}
        if self.stream.kind == "miniTicker":
            return {"e": "24hrMiniTicker", **head, "c": market.price(last.close), **written, **sums}
        (bid, bids), (ask, asks) = book.best
        size = self.exchange.tape.last(market.symbol, now, 1).size
        quotes = {"x": written["o"], "b": bid, "B": bids, "a": ask, "A": asks}
        return {
            "e": "24hrTicker",
            **head,
            "p": market.price(last.change),
            "P": f"{last.percent:.3f}",
            "w": market.price(last.mean),
            "c": market.price(last.close),
            "Q": market.sizes(size)[0],
            **({} if market.futures else quotes),
            **written,
            **sums,
            "O": form.time(last.opened),
            "C": self.told(form, now),
            "F": last.first_id,
            "L": last.last_id,
            "n": last.count,
        }


class MarkPricePulse(Pulse):
    """Tell the mark price, which is the last one."""

    def events(self, now: int, due: bool) -> list[Any]:
        """Give (the book, now)."""
        book = Book.at(self.exchange.tape, self.market, now) if due else None
        return [] if book is None else [(book, now)]

    def body(self, event: Any, form: Form) -> dict[str, Any]:
        """Give the members of a mark price."""
        book, now = event
        price, time = self.market.price(book.price), self.sent(form, now)
        head = {"e": "markPriceUpdate", "E": time, "s": self.market.symbol}
        hours = 8 * 3_600_000
        return head | {"p": price, "i": price, "P": price, "r": "0.00000000", "T": (time // hours + 1) * hours}


def pulse(exchange: SimulatedExchange, stream: Stream, now: int) -> Pulse:
    """Give the pulse of a stream that comes by the clock."""
    return _PULSES[stream.kind](exchange, stream, now)


_PULSES: dict[str, type[Pulse]] = {
    "kline": KlinePulse,
    "depth": DepthPulse,
    "partialDepth": DepthPulse,
    "ticker": TickerPulse,
    "miniTicker": TickerPulse,
    "markPrice": MarkPricePulse,
}
