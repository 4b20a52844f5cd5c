"""Upbit's REST requests that answer from the tape; candles without trades do not exist.

Source: docs.upbit.com, "Quotation API"; exchanges.md, section 7.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from core.candles import Candle
from core.timeframes import DAY, SECOND, TIMEFRAMES, Timeframe
from simulator.binance.history import between
from simulator.dialect import Dialect
from simulator.endpoint import Asked, Refusal
from simulator.plain_numbers import plain
from simulator.trade_pages import newest, reverse
from simulator.upbit import frames
from simulator.upbit.names import MINUTES
from simulator.venue_market import VenueMarket

_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):?([0-5][0-9]):?([0-5][0-9])")


class Requests:
    """Answer requests; each raises `Refusal`."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def markets(self, asked: Asked) -> bytes:
        """Answer ``market/all``."""
        rows = [
            f'{{"market":"{market.symbol}","korean_name":"{market.instrument.base}",'
            f'"english_name":"{market.instrument.base}"}}'
            for market in self.dialect.markets.values()
        ]
        return _listed(rows)

    def policies(self, asked: Asked) -> bytes:
        """Answer ``orderbook/instruments``: the ticks of ``markets``."""
        names = asked.params.get("markets", "")
        if not names:
            raise missing()
        rows = [
            f'{{"market":"{name}","quote_currency":"{market.instrument.quote}",'
            f'"tick_size":"{plain(market.source.tick)}","supported_levels":["0"]}}'
            for name in names.split(",")
            for market in [self._named(name)]
        ]
        return _listed(rows)

    def ticks(self, asked: Asked) -> bytes:
        """Answer ``trades/ticks``: the newest trades of one day in UTC, before ``to`` and ``cursor``, newest first.

        ``days_ago`` (1 to 7) names the day, today where it is missing: a page never reaches into another day.
        """
        market, count = self._market(asked), self._count(asked, 500)
        ago = self._number(asked, "days_ago", 0)
        if not 0 <= ago <= 7 or (ago == 0 and asked.params.get("days_ago")):
            raise invalid()
        day = asked.venue_now // DAY * DAY - ago * DAY
        end, to = day + DAY, asked.params.get("to")
        if to:
            match = _TIME_OF_DAY.fullmatch(to)
            if match is None:
                raise invalid()
            end = day + (int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3])) * SECOND
        cursor = self._number(asked, "cursor", 0)
        below = frames.IDS.hidden(cursor) if cursor else None
        found = newest(self.dialect.exchange, market.source, count, start=day, end=end, below=below)
        return _listed(frames.ticks(market.symbol, reverse(found)))

    def minutes(self, asked: Asked) -> bytes:
        """Answer ``candles/minutes/{unit}``."""
        unit = asked.path["unit"]
        if not unit.isdecimal() or int(unit) not in MINUTES:
            raise invalid()
        return self._candles(asked, TIMEFRAMES[MINUTES[int(unit)]], int(unit))

    def candles(self, timeframe: str) -> Callable[[Asked], bytes]:
        """Give what answers the candles of one other timeframe."""
        return lambda asked: self._candles(asked, TIMEFRAMES[timeframe], None)

    def _candles(self, asked: Asked, timeframe: Timeframe, unit: int | None) -> bytes:
        market, count = self._market(asked), self._count(asked, 200)
        now, to = asked.venue_now, asked.params.get("to")
        end = min(now, _instant(to)) if to else now
        found = self._traded(market, timeframe, end, now, count)
        told = [frames.bar(market.symbol, one, min(timeframe.end(one.start) - 1, now), unit) for one in found]
        return _listed(told[::-1])

    def _traded(self, market: VenueMarket, timeframe: Timeframe, end: int, now: int, count: int) -> list[Candle]:
        """Give the newest candles with trades that begin before ``end``."""
        found: list[Candle] = []
        while len(found) < count:
            page = between(self.dialect.exchange, market.source, timeframe, None, end, now, count)
            if not page:
                break
            found = [one for one in page if one.trade_count] + found
            end = page[0].start
        return found[-count:]

    def _market(self, asked: Asked) -> VenueMarket:
        name = asked.params.get("market", "")
        if not name:
            raise missing()
        return self._named(name)

    def _named(self, name: str) -> VenueMarket:
        market = self.dialect.market(name)
        if market is None:
            raise error(404, "Code not found")
        return market

    def _count(self, asked: Asked, most: int) -> int:
        count = self._number(asked, "count", 1)
        if not 1 <= count <= most:
            raise invalid()
        return count

    def _number(self, asked: Asked, name: str, default: int) -> int:
        if not asked.params.get(name):
            return default
        number = asked.number(name)
        if number is None:
            raise error(400, "Type mismatch error. Check the parameters type!")
        return number


def error(status: int, words: str) -> Refusal:
    """Refuse a request in Upbit's words."""
    return Refusal({"error": {"name": status, "message": words}}, status)


def invalid() -> Refusal:
    """Refuse a value."""
    return error(400, "Invalid parameter. Check the given value!")


def missing() -> Refusal:
    """Refuse a request that lacks a parameter."""
    return error(400, "Missing request parameter error. Check the required parameters!")


def _instant(text: str) -> int:
    try:
        # A plus sign that was not quoted arrives as a space.
        moment = datetime.fromisoformat(re.sub(r" (?=\d\d:\d\d$)(?<=:\d\d )", "+", text))
    except ValueError:
        raise invalid() from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND + moment.microsecond


def _listed(rows: Sequence[str]) -> bytes:
    return f"[{','.join(rows)}]".encode()
