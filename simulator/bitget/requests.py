"""Bitget's REST requests that answer from the tape.

Source: bitget.com/api-doc, spot and contract, "Market"; exchanges.md, section 6.
"""

from collections.abc import Sequence

from core.timeframes import DAY, TIMEFRAMES
from simulator.binance.history import between
from simulator.bitget import frames
from simulator.bitget.names import FUTURES, GRANULARITIES, PRODUCT_TYPES, SPOT
from simulator.dialect import Dialect
from simulator.endpoint import Asked, Refusal
from simulator.trade_pages import newest, reverse
from simulator.venue_market import VenueMarket

_REACH = 90 * DAY
_SPAN = 7 * DAY
_DEFAULT = 100


class Requests:
    """Answer the requests of one section of the venue (``SPOT`` or ``USDT-FUTURES``); each raises `Refusal`."""

    def __init__(self, dialect: Dialect, section: str) -> None:
        self.dialect, self.section = dialect, section

    def time(self, asked: Asked) -> bytes:
        """Answer ``public/time``."""
        return success(asked, f'{{"serverTime":"{asked.told_now // 1000}"}}')

    def coins(self, asked: Asked) -> bytes:
        """Answer ``spot/public/coins`` and ``margin/currencies``: nothing is deposited here, or lent."""
        return success(asked, "[]")

    def instruments(self, asked: Asked) -> bytes:
        """Answer ``spot/public/symbols`` or ``mix/market/contracts``, of one ``symbol`` or all."""
        if self.section == FUTURES and self._product(asked) != FUTURES:
            return success(asked, "[]")
        symbol = asked.params.get("symbol")
        markets = [self._market(asked)] if symbol else self._markets()
        told = frames.spot_symbol if self.section == SPOT else frames.contract
        return success(asked, _listed([told(market) for market in markets]))

    def fills(self, asked: Asked) -> bytes:
        """Answer ``fills``: the newest trades, newest first."""
        limit = asked.limit(_DEFAULT, 500 if self.section == SPOT else 100)
        return self._fills(asked, limit, None, None, None)

    def fills_history(self, asked: Asked) -> bytes:
        """Answer ``fills-history``: the newest trades before ``idLessThan`` and of a span of at most seven days.

        They reach 90 days back. Both ends of the span are included.
        """
        start, end, below = asked.number("startTime"), asked.number("endTime"), asked.params.get("idLessThan")
        if start is not None and end is not None and (end - start) * 1000 > _SPAN:
            raise refused(asked, "40020", "Parameter startTime error")
        if below is not None and not (below.isdecimal() and len(below) <= 19):
            raise refused(asked, "40020", "Parameter idLessThan error")
        since = max(asked.venue_now - _REACH, 0 if start is None else start * 1000)
        until = None if end is None else end * 1000 + 1000
        hidden = None if below is None else frames.IDS.hidden(int(below))
        return self._fills(asked, asked.limit(500, 1000), since, until, hidden)

    def candles(self, asked: Asked) -> bytes:
        """Answer ``candles``: the newest ones of [startTime, endTime), oldest first."""
        return self._candles(asked, asked.limit(_DEFAULT, 1000))

    def history_candles(self, asked: Asked) -> bytes:
        """Answer ``history-candles``, of which spot's needs ``endTime``."""
        if self.section == SPOT and asked.number("endTime") is None:
            raise refused(asked, "40019", "Parameter endTime cannot be empty")
        return self._candles(asked, asked.limit(_DEFAULT, 200))

    def _fills(self, asked: Asked, limit: int, start: int | None, end: int | None, below: int | None) -> bytes:
        market = self._market(asked)
        exchange = self.dialect.exchange
        found = newest(exchange, market.source, limit, start=start, end=end, below=below)
        return success(asked, _listed(frames.fills(market.symbol, reverse(found))))

    def _candles(self, asked: Asked, limit: int) -> bytes:
        market, granularity = self._market(asked), asked.params.get("granularity", "")
        if granularity not in GRANULARITIES[self.section]:
            raise refused(asked, "400171", "Parameter verification failed granularity")
        timeframe, now = TIMEFRAMES[GRANULARITIES[self.section][granularity]], asked.venue_now
        start, end = asked.number("startTime"), asked.number("endTime")
        until = now if end is None else min(end * 1000, now)
        found = between(self.dialect.exchange, market.source, timeframe, None, until, now, limit)
        columns = 8 if self.section == SPOT else 7
        rows = [frames.candle(one, columns) for one in found if start is None or one.start >= start * 1000]
        return success(asked, _listed(rows))

    def _market(self, asked: Asked) -> VenueMarket:
        if self.section == FUTURES and self._product(asked) != FUTURES:
            raise refused(asked, "40034", "Parameter does not exist")
        symbol = asked.params.get("symbol")
        if not symbol:
            raise refused(asked, "40019", "Parameter symbol cannot be empty")
        market = self.dialect.market(symbol, self.section)
        if market is None:
            raise refused(asked, "40034", "Parameter does not exist")
        return market

    def _markets(self) -> list[VenueMarket]:
        return [market for (section, _), market in self.dialect.markets.items() if section == self.section]

    def _product(self, asked: Asked) -> str:
        product = asked.params.get("productType", "").upper()
        if not product:
            raise refused(asked, "40019", "Parameter productType cannot be empty")
        if product not in PRODUCT_TYPES:
            raise refused(asked, "40020", "Parameter productType error")
        return product


def success(asked: Asked, data: str) -> bytes:
    """Give an answer; ``data`` is JSON text."""
    return f'{{"code":"00000","msg":"success","requestTime":{asked.told_now // 1000},"data":{data}}}'.encode()


def refused(asked: Asked, code: str, words: str) -> Refusal:
    """Refuse a request in Bitget's words."""
    return Refusal({"code": code, "msg": words, "requestTime": asked.told_now // 1000, "data": None}, 400)


def _listed(rows: Sequence[str]) -> str:
    return f"[{','.join(rows)}]"
