"""Tickers: the last day in one row, the last price, the best of the book.

Source: binance/binance-spot-api-docs rest-api.md, "Market Data endpoints"; USD-M "Market Data Endpoints".
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.candles import EXACT, SUM_SCALE
from core.timeframes import DAY, MINUTE, TIMEFRAMES
from simulator.binance.book import LEVELS, Book
from simulator.binance.market import Market, exact
from simulator.binance.query import Query
from simulator.binance.refusal import Refusal, invalid
from simulator.exchange import SimulatedExchange

_MINUTE = TIMEFRAMES["1m"]


@dataclass(frozen=True, slots=True)
class Day:
    """Hold the last 24 hours of a market, from the minute on that began then; ``opened`` is venue time in µs."""

    opened: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    value: Decimal
    count: int
    first_id: int
    last_id: int

    @property
    def change(self) -> Decimal:
        """Give the move of the price."""
        return self.close - self.open

    @property
    def percent(self) -> Decimal:
        """Give the move of the price in percent."""
        return self.change / self.open * 100

    @property
    def mean(self) -> Decimal:
        """Give the price weighted by volume."""
        return self.value / self.volume if self.volume else self.close


def day(exchange: SimulatedExchange, market: Market, now: int) -> Day | None:
    """Give the last 24 hours at a time of the tape, None where there were no trades."""
    venue = exchange.clock.venue(now)
    minutes = exchange.candles(market, _MINUTE, _MINUTE.floor(venue - DAY + MINUTE), venue, venue)
    traded = minutes.take(minutes.trade_count > 0)
    if not len(traded):
        return None
    opened = int(traded.start[0])
    first = exchange.tape.from_time(market.symbol, exchange.clock.tape(opened), now, 1)
    last = exchange.tape.last(market.symbol, now, 1)
    return Day(
        opened=opened,
        open=exact(float(traded.open[0])),
        high=exact(float(traded.high.max())),
        low=exact(float(traded.low.min())),
        close=exact(float(traded.close[-1])),
        volume=_total(traded.volume),
        value=_total(traded.quote_volume),
        count=int(traded.trade_count.sum()),
        first_id=int(first.ids[0]),
        last_id=int(last.ids[-1]),
    )


def day_ticker(query: Query) -> Any:
    """Answer ``ticker/24hr``."""
    return _rows(query, _day_row)


def price_ticker(query: Query) -> Any:
    """Answer ``ticker/price``."""

    def row(query: Query, market: Market, book: Book) -> dict[str, Any]:
        more = {"time": query.told(book.ts)} if query.futures else {}
        return {"symbol": market.symbol, "price": market.price(book.price), **more}

    return _rows(query, row)


def book_ticker(query: Query) -> Any:
    """Answer ``ticker/bookTicker``."""

    def row(query: Query, market: Market, book: Book) -> dict[str, Any]:
        (bid, bids), (ask, asks) = book.best
        more = {"time": query.told(book.ts), "lastUpdateId": book.update_id} if query.futures else {}
        return {"symbol": market.symbol, "bidPrice": bid, "bidQty": bids, "askPrice": ask, "askQty": asks, **more}

    return _rows(query, row)


def average_price(query: Query) -> dict[str, Any]:
    """Answer ``avgPrice``: of the last five minutes."""
    market = query.market()
    now = query.exchange.clock.venue(query.now)
    minutes = query.exchange.candles(market, _MINUTE, _MINUTE.floor(now - 4 * MINUTE), now, now)
    book = Book.at(query.exchange.tape, market, query.now)
    volume, value = _total(minutes.volume), _total(minutes.quote_volume)
    price = value / volume if volume else book.price if book else Decimal(0)
    return {"mins": 5, "price": market.price(price), "closeTime": query.told(book.ts if book else query.now)}


def premium_index(query: Query) -> Any:
    """Answer ``premiumIndex``: the mark price is the last one, funding is none."""

    def row(query: Query, market: Market, book: Book) -> dict[str, Any]:
        price = market.price(book.price)
        eight_hours = 8 * 60 * MINUTE
        now = query.exchange.clock.venue(query.now)
        return {
            "symbol": market.symbol,
            "markPrice": price,
            "indexPrice": price,
            "estimatedSettlePrice": price,
            "lastFundingRate": "0.00000000",
            "interestRate": "0.00010000",
            "nextFundingTime": (now // eight_hours + 1) * eight_hours // 1000,
            "time": now // 1000,
        }

    return _rows(query, row)


def depth(query: Query) -> dict[str, Any]:
    """Answer ``depth``: at most a hundred levels a side are invented."""
    market, limit = query.market(), query.number("limit")
    limit = (500 if query.futures else 100) if limit is None else limit
    if limit == 0 or (query.futures and limit not in (5, 10, 20, 50, 100, 500, 1000)):
        raise Refusal(-4021, f"{limit} is not valid depth limit.") if query.futures else invalid("limit")
    book = Book.at(query.exchange.tape, market, query.now)
    if book is None:
        return {"lastUpdateId": 0, "bids": [], "asks": []}
    times = {"E": query.told(query.now), "T": query.told(book.ts)} if query.futures else {}
    limit = min(limit, LEVELS)
    return {"lastUpdateId": book.update_id, **times, "bids": book.bids(limit), "asks": book.asks(limit)}


def _rows(query: Query, row: Callable[[Query, Market, Book], dict[str, Any]]) -> Any:
    markets, single = query.markets()
    query.text("type")
    books = ((market, Book.at(query.exchange.tape, market, query.now)) for market in markets)
    rows = [row(query, market, book) for market, book in books if book is not None]
    return rows[0] if single and rows else rows


def _day_row(query: Query, market: Market, book: Book) -> dict[str, Any]:
    last = day(query.exchange, market, query.now)
    if last is None:
        return {"symbol": market.symbol, "lastPrice": market.price(book.price), "count": 0}
    (bid, bids), (ask, asks) = book.best
    size = query.exchange.tape.last(market.symbol, query.now, 1).size
    quotes = {"prevClosePrice": market.price(last.open), "bidPrice": bid, "bidQty": bids} | {
        "askPrice": ask,
        "askQty": asks,
    }
    return {
        "symbol": market.symbol,
        "priceChange": market.price(last.change),
        "priceChangePercent": f"{last.percent:.3f}",
        "weightedAvgPrice": market.price(last.mean),
        "lastPrice": market.price(last.close),
        "lastQty": market.sizes(size)[0],
        **({} if query.futures else quotes),
        "openPrice": market.price(last.open),
        "highPrice": market.price(last.high),
        "lowPrice": market.price(last.low),
        "volume": market.size(last.volume),
        "quoteVolume": market.value(last.value),
        "openTime": last.opened // (1 if query.micro else 1000),
        "closeTime": query.told(query.now),
        "firstId": last.first_id,
        "lastId": last.last_id,
        "count": last.count,
    }


def _total(words: NDArray[np.uint64]) -> Decimal:
    """Add the sums of candles, which are never negative: uint64[n, 2], low and high word."""
    low, high = (sum(column.tolist()) for column in words.T)
    return Decimal(low + (high << 64)).scaleb(-SUM_SCALE, EXACT)
