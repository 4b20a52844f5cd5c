"""Trades, aggregates and candles on request, as Binance's REST answers them.

Source: binance/binance-spot-api-docs rest-api.md, "Market Data endpoints"; USD-M "Market Data Endpoints".
"""

from decimal import Decimal
from typing import Any

from core.candles import Candle
from core.timeframes import HOUR, Timeframe
from core.trades import TradeBatch
from simulator.binance import refusal
from simulator.binance.market import Market, exact
from simulator.binance.query import Query
from simulator.binance.refusal import Refusal
from simulator.exchange import SimulatedExchange


def recent_trades(query: Query) -> list[dict[str, Any]]:
    """Answer ``trades``: the newest ones."""
    market, limit = query.market(), query.limit(500, 1000)
    return _trades(query, market, query.exchange.tape.last(market.symbol, query.now, limit))


def historical_trades(query: Query) -> list[dict[str, Any]]:
    """Answer ``historicalTrades``: from an id on, or the newest ones."""
    market, limit, first = query.market(), query.limit(500, 1000), query.number("fromId")
    tape = query.exchange.tape
    if first is None:
        return _trades(query, market, tape.last(market.symbol, query.now, limit))
    return _trades(query, market, tape.from_id(market.symbol, first, limit, query.now))


def aggregate_trades(query: Query) -> list[dict[str, Any]]:
    """Answer ``aggTrades``: from an id on, or between two times (both inclusive), or the newest ones."""
    market, limit, first = query.market(), query.limit(500, 1000), query.number("fromId")
    start, end = query.time("startTime"), query.until("endTime")
    if first is not None and (start is not None or end is not None):
        raise refusal.combination()
    if query.futures and start is not None and end is not None and end - start > HOUR + 1000:
        raise Refusal(-1127, "More than 1 hours between startTime and endTime.")
    trades = _aggregates(query, market, limit, first, start, end)
    rows = zip(
        *market.aggregates(trades),
        market.prices(trades.price),
        market.sizes(trades.size),
        trades.ts.tolist(),
        trades.side.tolist(),
        strict=True,
    )
    more: dict[str, Any] = {} if query.futures else {"M": True}
    return [
        {"a": a, "p": p, "q": q, "f": f, "l": last, "T": query.told(ts), "m": side < 0, **more}
        for a, f, last, p, q, ts, side in rows
    ]


def klines(query: Query) -> list[list[Any]]:
    """Answer ``klines``: those that begin between two times (both inclusive), or the newest ones."""
    market, timeframe = query.market(), query.interval()
    limit = query.limit(500, 1500 if query.futures else 1000)
    start, end = query.time("startTime"), query.until("endTime")
    query.text("timeZone")
    now = query.exchange.clock.venue(query.now)
    end = now if end is None else min(end, now)
    found = between(query.exchange, market, timeframe, start, end, now, limit)
    return [_kline(query, market, timeframe, candle) for candle in found]


def between(
    exchange: SimulatedExchange,
    market: Market,
    timeframe: Timeframe,
    start: int | None,
    end: int,
    now: int,
    limit: int,
) -> list[Candle]:
    """Give the first ``limit`` candles that begin in [start, end), or without a start the last; venue time in µs."""
    floor = timeframe.floor(exchange.clock.venue(exchange.tape.start))
    width = (timeframe.micros or 31 * 24 * HOUR) * limit
    found: list[Candle] = []
    if start is not None:
        at = max(start, floor)
        # A long outage has no candles: one look may bring fewer than there are behind it.
        while at < end and len(found) < limit:
            found += exchange.candles(market, timeframe, at, min(at + width, end), now).candles()
            at += width
        return found[:limit]
    while end > floor and len(found) < limit:
        found = exchange.candles(market, timeframe, max(end - width, floor), end, now).candles() + found
        end -= width
    return found[-limit:]


def _aggregates(
    query: Query, market: Market, limit: int, first: int | None, start: int | None, end: int | None
) -> TradeBatch:
    exchange, symbol = query.exchange, market.symbol
    if first is not None:
        offset = 0 if _is_aggregates(query, market) else market.aggregate_offset
        return exchange.tape.from_id(symbol, first + offset, limit, query.now)
    until = query.now if end is None else min(exchange.clock.tape(end), query.now)
    if start is None:
        return exchange.tape.last(symbol, until, limit)
    return exchange.tape.from_time(symbol, exchange.clock.tape(start), until, limit)


def _is_aggregates(query: Query, market: Market) -> bool:
    return query.exchange.tape.last(market.symbol, query.now, 1).id_space == "aggregate"


def _trades(query: Query, market: Market, trades: TradeBatch) -> list[dict[str, Any]]:
    if trades.id_space == "aggregate":
        # Of aggregates nobody knows the trades.
        return []
    more: dict[str, Any] = {"isRPITrade": False} if query.futures else {"isBestMatch": True}
    rows = zip(
        trades.ids.tolist(),
        market.prices(trades.price),
        market.sizes(trades.size),
        (exact(price) * exact(size) for price, size in zip(trades.price.tolist(), trades.size.tolist(), strict=True)),
        trades.ts.tolist(),
        trades.side.tolist(),
        strict=True,
    )
    return [
        {
            "id": number,
            "price": price,
            "qty": size,
            "quoteQty": market.value(value),
            "time": query.told(ts),
            "isBuyerMaker": side < 0,
            **more,
        }
        for number, price, size, value, ts, side in rows
    ]


def _kline(query: Query, market: Market, timeframe: Timeframe, candle: Candle) -> list[Any]:
    unit = 1 if query.micro else 1000
    return [
        candle.start // unit,
        market.price(candle.open),
        market.price(candle.high),
        market.price(candle.low),
        market.price(candle.close),
        market.size(candle.volume),
        timeframe.end(candle.start) // unit - 1,
        market.value(candle.quote_volume),
        candle.trade_count,
        market.size(candle.taker_buy_volume),
        market.value(bought(candle)),
        "0",
    ]


def bought(candle: Candle) -> Decimal:
    """Give what takers paid who bought, which our candles do not hold: reckoned at the candle's mean price."""
    if not candle.volume:
        return Decimal(0)
    return candle.quote_volume * candle.taker_buy_volume / candle.volume
