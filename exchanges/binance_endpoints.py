"""What Binance is asked by REST: paths, parameters, weights.

Sources: binance-spot-api-docs rest-api.md; USD-M as developers.binance.com has it (its aggregates reach back 48 h).
"""

from dataclasses import dataclass

from core.errors import UnknownName, UserError
from core.timeframes import timeframe
from exchanges.venue import Request

PAGE = 1000
"""Rows of a page of trades or of candles, the most that both markets give at these weights."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Name the requests of one market: its root path and what each request weighs.

    A weight of None: this market does not offer it without a key. ``instruments_params`` shortens the list of
    instruments to what is read.
    """

    root: str
    newest: int
    by_id: int | None
    aggregates: int
    klines: int
    instruments: int
    instruments_params: tuple[tuple[str, str], ...] = ()

    def time(self) -> Request:
        """Ask for the time."""
        return Request(f"{self.root}/time", {}, 1)

    def listed(self) -> Request:
        """Ask for the instruments."""
        return Request(f"{self.root}/exchangeInfo", dict(self.instruments_params), self.instruments)

    def trades(self, symbol: str, channel: str, first_id: int | None, start: int | None) -> Request:
        """Ask for a page of trades; ``start`` is µs since the epoch, UTC.

        Raise `UserError` for both an id and a time, and for trades by time, which Binance answers for
        aggregates only; `UnknownName` for a channel that brings no trades.
        """
        if first_id is not None and start is not None:
            raise UserError("ask for trades from an id or from a time, not both")
        if channel not in ("aggregate", "trade") or (channel == "trade" and self.by_id is None):
            raise UnknownName("channel of trades", channel, ["aggregate", *["trade"] * (self.by_id is not None)])
        params: dict[str, str | int] = {"symbol": symbol, "limit": PAGE}
        if first_id is not None:
            params["fromId"] = first_id
        if channel == "aggregate":
            return self._aggregates(params, start)
        if start is not None:
            raise UserError("Binance does not give trades by time: ask for the first id (exchanges.history.first_id)")
        if first_id is None:
            return Request(f"{self.root}/trades", params, self.newest)
        return Request(f"{self.root}/historicalTrades", params, self.by_id or 0)

    def first_aggregate(self, symbol: str, start: int) -> Request:
        """Ask for the first aggregate at or after a time, which names the first trade."""
        return self._aggregates({"symbol": symbol, "limit": 1}, start)

    def candles(self, symbol: str, name: str, start: int, end: int) -> Request:
        """Ask for the candles that begin in [start, end), µs since the epoch, UTC."""
        params: dict[str, str | int] = {
            "symbol": symbol,
            "interval": timeframe(name).name,
            "startTime": _ceil_ms(start),
            "endTime": _ceil_ms(end) - 1,
            "limit": PAGE,
        }
        return Request(f"{self.root}/klines", params, self.klines)

    def _aggregates(self, params: dict[str, str | int], start: int | None) -> Request:
        times = {} if start is None else {"startTime": _ceil_ms(start)}
        return Request(f"{self.root}/aggTrades", {**params, **times}, self.aggregates)


SPOT = Endpoints(
    "/api/v3",
    newest=25,
    by_id=25,
    aggregates=4,
    klines=2,
    instruments=20,
    instruments_params=(("showPermissionSets", "false"),),
)
USDM = Endpoints("/fapi/v1", newest=5, by_id=None, aggregates=20, klines=5, instruments=1)


def _ceil_ms(micros: int) -> int:
    return -(-micros // 1000)
