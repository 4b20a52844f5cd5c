"""OKX's REST: time, instruments, trades and candles, newest first.

Source: OKX API v5, "Market Data" and "Public Data"; limits are by address. ``after`` asks for what is older than an
id or a time, ``before`` for what is newer; both leave out what they name.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from core.timeframes import TIMEFRAMES
from simulator.binance.history import between
from simulator.dialect import Dialect
from simulator.endpoint import Asked, Endpoint, Refusal
from simulator.okx.channels import BARS, kind_of
from simulator.okx.frames import candle_row, trade_rows
from simulator.trade_pages import newest, reverse
from simulator.venue_market import VenueMarket

_PER = 2.0
_BARS = 1440
"""Candles that /market/candles looks back."""


def endpoints(dialect: Dialect) -> list[Endpoint]:
    """Give the requests that are answered, with OKX's limits."""

    def endpoint(path: str, answer: Callable[[Dialect, Asked], list[Any]], requests: int) -> Endpoint:
        return Endpoint(f"/api/v5{path}", partial(_enveloped, dialect, answer), requests, _PER)

    return [
        endpoint("/public/time", _time, 10),
        endpoint("/public/instruments", _instruments, 20),
        endpoint("/market/trades", _trades, 100),
        endpoint("/market/history-trades", _history_trades, 20),
        endpoint("/market/candles", partial(_candles, bars=_BARS), 40),
        endpoint("/market/history-candles", partial(_candles, bars=None), 20),
    ]


def refusal(code: str, words: str, status: int = 400) -> Refusal:
    """Refuse a request in OKX's envelope."""
    return Refusal({"code": code, "msg": words, "data": []}, status)


def _enveloped(dialect: Dialect, answer: Callable[[Dialect, Asked], list[Any]], asked: Asked) -> dict[str, Any]:
    return {"code": "0", "msg": "", "data": answer(dialect, asked)}


def _time(dialect: Dialect, asked: Asked) -> list[Any]:
    return [{"ts": str(asked.told_now // 1000)}]


def _instruments(dialect: Dialect, asked: Asked) -> list[Any]:
    wanted, symbol = asked.params.get("instType", ""), asked.params.get("instId")
    if not wanted:
        raise refusal("50014", "Parameter instType can not be empty.")
    if wanted not in {"SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION"}:
        raise refusal("51000", "Parameter instType error")
    found = [one for one in dialect.markets.values() if kind_of(one) == wanted and symbol in {None, one.symbol}]
    if symbol is not None and not found:
        raise _no_instrument()
    listed = str(dialect.exchange.clock.venue(dialect.exchange.tape.start) // 1000)
    return [_instrument(one) | {"listTime": listed} for one in found]


def _instrument(market: VenueMarket) -> dict[str, Any]:
    one = market.instrument
    pair, linear = f"{one.base}-{one.quote}", one.quote != "USD"
    contract = {
        "baseCcy": "",
        "quoteCcy": "",
        "settleCcy": one.quote if linear else one.base,
        "ctVal": f"{one.multiplier:f}",
        "ctMult": "1",
        "ctValCcy": one.base if linear else one.quote,
        "ctType": "linear" if linear else "inverse",
        "uly": pair,
        "expTime": _expiry(one.expiry),
    }
    spot = dict.fromkeys(contract, "") | {"baseCcy": one.base, "quoteCcy": one.quote}
    return {
        "instType": kind_of(market),
        "instId": market.symbol,
        "instFamily": pair if one.expiry else "",
        **(contract if one.expiry else spot),
        "category": "1",
        "alias": "",
        "lever": "10",
        "lotSz": f"{market.source.lot:f}",
        "minSz": f"{market.source.lot:f}",
        "tickSz": f"{market.source.tick:f}",
        "maxLmtSz": "9999999999",
        "maxMktSz": "1000000",
        "optType": "",
        "ruleType": "normal",
        "state": "live",
        "stk": "",
    }


def _expiry(expiry: str) -> str:
    if not expiry.isdigit():
        return ""
    # OKX's futures end at 08:00 UTC.
    end = datetime.strptime(expiry, "%Y%m%d").replace(hour=8, tzinfo=UTC)
    return str(int(end.timestamp()) * 1000)


def _trades(dialect: Dialect, asked: Asked) -> list[Any]:
    market = _market(dialect, asked)
    found = newest(asked.exchange, market.source, asked.limit(100, 500))
    return [row | {"source": "0"} for row in trade_rows(market, reverse(found))]


def _history_trades(dialect: Dialect, asked: Asked) -> list[Any]:
    market, limit = _market(dialect, asked), asked.limit(100, 100)
    after, before = asked.number("after"), asked.number("before")
    if asked.params.get("type", "1") == "2":
        found = newest(asked.exchange, market.source, limit, end=None if after is None else after * 1000)
    else:
        found = newest(asked.exchange, market.source, limit, below=after)
        found = found if before is None else found.take(found.ids > before)
    return [row | {"source": "0"} for row in trade_rows(market, reverse(found))]


def _candles(dialect: Dialect, asked: Asked, bars: int | None) -> list[Any]:
    market, now = _market(dialect, asked), asked.venue_now
    timeframe = TIMEFRAMES.get(BARS.get(asked.params.get("bar", "1m"), ""))
    if timeframe is None:
        raise refusal("51000", "Parameter bar error")
    after, before = asked.number("after"), asked.number("before")
    end = now if after is None else min(after * 1000, now)
    found = between(asked.exchange, market.source, timeframe, None, end, now, asked.limit(100, 300))
    first = -1 if before is None else before * 1000
    if bars is not None and timeframe.micros:
        first = max(first, now - bars * timeframe.micros)
    rows = [candle for candle in found if candle.start > first]
    return [candle_row(market, one, timeframe.end(one.start) <= now) for one in reversed(rows)]


def _market(dialect: Dialect, asked: Asked) -> VenueMarket:
    symbol = asked.params.get("instId", "")
    if not symbol:
        raise refusal("50014", "Parameter instId can not be empty.")
    market = dialect.market(symbol)
    if market is None:
        raise _no_instrument()
    return market


def _no_instrument() -> Refusal:
    return refusal("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.", 200)
