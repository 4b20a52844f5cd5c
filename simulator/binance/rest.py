"""The REST half: which paths there are, what they weigh, and how an answer goes out.

Source: binance/binance-spot-api-docs rest-api.md; USD-M "Market Data Endpoints".
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import TidemillError
from simulator.binance import catalog, history, tickers
from simulator.binance.query import Query
from simulator.binance.refusal import Refusal
from simulator.binance.weights import Weights, used
from simulator.exchange import SimulatedExchange


@dataclass(frozen=True, slots=True)
class _Endpoint:
    answer: Callable[[Query], Any]
    weight: Callable[[dict[str, str]], int]
    needs_key: bool = False


def routes(exchange: SimulatedExchange, spot: Weights, usdm: Weights) -> list[Route]:
    """Give the routes of both markets."""
    return [
        Route("/api/v3/{path:path}", _Market(exchange, False, spot, _SPOT).answer),
        Route("/fapi/v1/{path:path}", _Market(exchange, True, usdm, _USDM).answer),
    ]


def paths() -> list[str]:
    """Give the paths of all requests that are answered."""
    return [*(f"/api/v3/{name}" for name in _SPOT), *(f"/fapi/v1/{name}" for name in _USDM)]


class _Market:
    def __init__(
        self, exchange: SimulatedExchange, futures: bool, weights: Weights, endpoints: dict[str, _Endpoint]
    ) -> None:
        self.exchange, self.futures, self.weights, self.endpoints = exchange, futures, weights, endpoints

    async def answer(self, request: Request) -> Response:
        self.exchange.figures.requests += 1
        endpoint = self.endpoints.get(request.path_params["path"])
        if endpoint is None:
            return _not_found(request)
        address = request.client.host if request.client else ""
        try:
            spent = self.weights.take(address, endpoint.weight(dict(request.query_params)))
            return _json(self._answer(endpoint, request), 200, used(spent))
        except Refusal as refusal:
            self.exchange.figures.refused += 1
            return _json({"code": refusal.code, "msg": refusal.words}, refusal.status, refusal.headers)

    def _answer(self, endpoint: _Endpoint, request: Request) -> Any:
        if endpoint.needs_key and "x-mbx-apikey" not in request.headers:
            raise Refusal(-2014, "API-key format invalid.", 401)
        micro = request.headers.get("x-mbx-time-unit", "").upper() == "MICROSECOND"
        query = Query(self.exchange, self.futures, request.query_params.multi_items(), micro)
        try:
            answer = endpoint.answer(query)
        except TidemillError:
            raise Refusal(-1000, "An unknown error occurred while processing the request.", 500) from None
        query.finish()
        return answer


def _ping(query: Query) -> dict[str, Any]:
    return {}


def _time(query: Query) -> dict[str, Any]:
    return {"serverTime": query.told(query.now + query.exchange.skew)}


def _json(content: Any, status: int, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(content), status, headers, "application/json;charset=UTF-8")


def _not_found(request: Request) -> Response:
    body = {"status": 404, "error": "Not Found", "message": "No message available", "path": request.url.path}
    return _json(body, 404, {})


def _always(weight: int) -> Callable[[dict[str, str]], int]:
    return lambda _: weight


def _one_or_all(one: int, every: int) -> Callable[[dict[str, str]], int]:
    return lambda parameters: one if "symbol" in parameters else every


def _by_limit(default: int, *steps: tuple[int, int]) -> Callable[[dict[str, str]], int]:
    def weight(parameters: dict[str, str]) -> int:
        text = parameters.get("limit", "")
        limit = int(text) if text.isdecimal() and len(text) <= 9 else default
        return next((weight for most, weight in steps if limit <= most), steps[-1][1])

    return weight


_SPOT = {
    "ping": _Endpoint(_ping, _always(1)),
    "time": _Endpoint(_time, _always(1)),
    "exchangeInfo": _Endpoint(catalog.exchange_info, _always(20)),
    "trades": _Endpoint(history.recent_trades, _always(25)),
    "historicalTrades": _Endpoint(history.historical_trades, _always(25)),
    "aggTrades": _Endpoint(history.aggregate_trades, _always(4)),
    "klines": _Endpoint(history.klines, _always(2)),
    "uiKlines": _Endpoint(history.klines, _always(2)),
    "depth": _Endpoint(tickers.depth, _by_limit(100, (100, 5), (500, 25), (1000, 50), (5000, 250))),
    "avgPrice": _Endpoint(tickers.average_price, _always(2)),
    "ticker/24hr": _Endpoint(tickers.day_ticker, _one_or_all(2, 80)),
    "ticker/price": _Endpoint(tickers.price_ticker, _one_or_all(2, 4)),
    "ticker/bookTicker": _Endpoint(tickers.book_ticker, _one_or_all(2, 4)),
}

_USDM = {
    "ping": _Endpoint(_ping, _always(1)),
    "time": _Endpoint(_time, _always(1)),
    "exchangeInfo": _Endpoint(catalog.exchange_info, _always(1)),
    "trades": _Endpoint(history.recent_trades, _always(5)),
    "historicalTrades": _Endpoint(history.historical_trades, _always(200), needs_key=True),
    "aggTrades": _Endpoint(history.aggregate_trades, _always(20)),
    "klines": _Endpoint(history.klines, _by_limit(500, (99, 1), (499, 2), (1000, 5), (1500, 10))),
    "depth": _Endpoint(tickers.depth, _by_limit(500, (50, 2), (100, 5), (500, 10), (1000, 20))),
    "premiumIndex": _Endpoint(tickers.premium_index, _one_or_all(1, 10)),
    "ticker/24hr": _Endpoint(tickers.day_ticker, _one_or_all(1, 40)),
    "ticker/price": _Endpoint(tickers.price_ticker, _one_or_all(1, 2)),
    "ticker/bookTicker": _Endpoint(tickers.book_ticker, _one_or_all(2, 5)),
}
