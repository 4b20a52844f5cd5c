"""Bybit's REST: time, instruments, the newest trades and candles, newest first.

Source: bybit-exchange/docs v5, "Market". All answers are 200 with a ``retCode``, but for who asks too often: 403.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.timeframes import TIMEFRAMES
from simulator.binance.history import between
from simulator.bybit.frames import candle_row, trade_columns
from simulator.bybit.topics import CATEGORIES, INTERVALS
from simulator.dialect import Dialect
from simulator.endpoint import Asked, Endpoint, Refusal
from simulator.trade_pages import newest, reverse
from simulator.venue_market import VenueMarket

_REQUESTS, _PER = 600, 5.0


def endpoints(dialect: Dialect) -> list[Endpoint]:
    """Give the requests that are answered; their limit is one, by address."""
    answers: dict[str, Callable[[Dialect, Asked], dict[str, Any]]] = {
        "time": _time,
        "instruments-info": _instruments,
        "recent-trade": _trades,
        "kline": _klines,
    }
    return [
        Endpoint(f"/v5/market/{path}", partial(_enveloped, dialect, answer), _REQUESTS, _PER, "all")
        for path, answer in answers.items()
    ]


def _enveloped(dialect: Dialect, answer: Callable[[Dialect, Asked], dict[str, Any]], asked: Asked) -> dict[str, Any]:
    result = answer(dialect, asked)
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": asked.told_now // 1000}


def _wrong(asked: Asked, words: str) -> Refusal:
    body = {"retCode": 10001, "retMsg": words, "result": {}, "retExtInfo": {}, "time": asked.told_now // 1000}
    return Refusal(body, 200)


def _time(dialect: Dialect, asked: Asked) -> dict[str, Any]:
    now = asked.told_now
    return {"timeSecond": str(now // 1_000_000), "timeNano": str(now * 1000)}


def _instruments(dialect: Dialect, asked: Asked) -> dict[str, Any]:
    category, symbol = _category(asked), asked.params.get("symbol")
    found = [
        _instrument(one, dialect.exchange.clock.venue(dialect.exchange.tape.start) // 1000)
        for one in dialect.markets.values()
        if one.section == category and symbol in {None, one.symbol}
    ]
    # All markets trade; none is of another status.
    found = found if asked.params.get("status", "Trading") == "Trading" else []
    if category == "spot":
        return {"category": category, "list": found}
    limit, first = asked.limit(500, 1000), asked.number("cursor") or 0
    more = str(first + limit) if first + limit < len(found) else ""
    return {"category": category, "list": found[first : first + limit], "nextPageCursor": more}


def _instrument(market: VenueMarket, launched: int) -> dict[str, Any]:
    one, tick, lot = market.instrument, f"{market.source.tick:f}", f"{market.source.lot:f}"
    head = {"symbol": market.symbol, "baseCoin": one.base, "quoteCoin": one.quote, "status": "Trading"}
    prices = {"tickSize": tick}
    if market.section == "spot":
        value = market.value(market.source.tick * market.source.lot)
        sizes = {"basePrecision": lot, "quotePrecision": value, "minOrderQty": lot, "maxOrderQty": "1000000"}
        more = {"minOrderAmt": "5", "maxOrderAmt": "4000000"}
        innovation = {"innovation": "0", "marginTrading": "none"}
        return head | innovation | {"lotSizeFilter": sizes | more, "priceFilter": prices}
    kind = "Perpetual" if one.expiry == "PERP" else "Futures"
    contract = {
        "contractType": f"{market.section.capitalize()}{kind}",
        "settleCoin": one.base if market.section == "inverse" else one.quote,
        "launchTime": str(launched),
        "deliveryTime": _delivery(one.expiry),
        "deliveryFeeRate": "",
        "priceScale": str(market.price_decimals),
        "fundingInterval": 480,
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
    }
    sizes = {"qtyStep": lot, "minOrderQty": lot, "maxOrderQty": "1000000", "minNotionalValue": "5"}
    limits = {"minPrice": tick, "maxPrice": "1999999.80"}
    return head | contract | {"lotSizeFilter": sizes, "priceFilter": limits | prices}


def _delivery(expiry: str) -> str:
    if not expiry.isdigit():
        return "0"
    # Futures are settled at 08:00 UTC.
    at = datetime.strptime(expiry, "%Y%m%d").replace(hour=8, tzinfo=UTC)
    return str(int(at.timestamp()) * 1000)


def _trades(dialect: Dialect, asked: Asked) -> dict[str, Any]:
    market = _market(dialect, asked)
    limit = asked.limit(60, 60) if market.section == "spot" else asked.limit(500, 1000)
    found = reverse(newest(asked.exchange, market.source, limit))
    rows = [
        {
            "execId": number,
            "symbol": market.symbol,
            "price": price,
            "size": size,
            "side": side,
            "time": str(ts),
            "isBlockTrade": False,
            "isRPITrade": False,
            "seq": str(sequence),
        }
        for number, price, size, side, ts, sequence in trade_columns(market, found)
    ]
    return {"category": market.section, "list": rows}


def _klines(dialect: Dialect, asked: Asked) -> dict[str, Any]:
    market, now, limit = _market(dialect, asked), asked.venue_now, asked.limit(200, 1000)
    timeframe = TIMEFRAMES.get(INTERVALS.get(asked.params.get("interval", ""), ""))
    if timeframe is None:
        raise _wrong(asked, "Invalid period!")
    start, last = asked.number("start"), asked.number("end")
    end = now if last is None else min(last * 1000 + 1000, now)
    # From a start on without an end they are the first; of a span that is longer than a page the last.
    first = start * 1000 if start is not None and last is None else None
    found = between(asked.exchange, market.source, timeframe, first, end, now, limit)
    rows = [candle_row(market, one) for one in reversed(found) if one.start >= (start or 0) * 1000]
    return {"symbol": market.symbol, "category": market.section, "list": rows}


def _category(asked: Asked) -> str:
    category = asked.params.get("category", "")
    if category not in CATEGORIES:
        raise _wrong(asked, "params error: Category is invalid")
    return category


def _market(dialect: Dialect, asked: Asked) -> VenueMarket:
    # Without a category it is linear.
    category = _category(asked) if "category" in asked.params else "linear"
    market = dialect.market(asked.params.get("symbol", ""), category)
    if market is None:
        raise _wrong(asked, "Not supported symbols")
    return market
