"""The parameters of a REST request, read as Binance reads them."""

import re
from collections.abc import Sequence

import msgspec

from core.timeframes import TIMEFRAMES, Timeframe
from simulator.binance import refusal
from simulator.binance.market import Market
from simulator.binance.refusal import Refusal
from simulator.exchange import SimulatedExchange

_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_DIGITS = re.compile(r"[0-9]{1,20}")
# Above this a number is a time in µs; below, in ms.
_MICROS = 100_000_000_000_000


class Query:
    """Read the parameters of one request; each reader raises `Refusal` for what Binance refuses.

    ``micro`` says that times are told in µs (header ``X-MBX-TIME-UNIT: MICROSECOND``, spot only).
    """

    def __init__(
        self, exchange: SimulatedExchange, futures: bool, items: Sequence[tuple[str, str]], micro: bool = False
    ) -> None:
        self.exchange, self.futures = exchange, futures
        self.micro = micro and not futures
        self.now = exchange.now()
        """The tape's time at which the request is answered."""
        self._items = dict(items)
        self._read: set[str] = set()
        if len(self._items) < len(items):
            raise Refusal(-1101, "Duplicate values for a parameter detected.")

    def text(self, name: str) -> str | None:
        """Give a parameter as it is, None where it was not sent."""
        self._read.add(name)
        value = self._items.get(name)
        if value == "":
            raise refusal.empty(name)
        return value

    def number(self, name: str) -> int | None:
        """Give a whole number that is not negative."""
        value = self.text(name)
        if value is None:
            return None
        if not _DIGITS.fullmatch(value):
            raise refusal.illegal(name, "^[0-9]{1,20}$")
        if int(value) >= 2**63:
            raise refusal.invalid(name)
        return int(value)

    def time(self, name: str) -> int | None:
        """Give a time of the venue in µs."""
        value = self.number(name)
        if value is None:
            return None
        return value if value >= _MICROS and not self.futures else min(value, 2**53) * 1000

    def until(self, name: str) -> int | None:
        """Give the first time (µs) after one of the venue that is to be included."""
        value = self.time(name)
        if value is None:
            return None
        return value + (1 if value == self.number(name) else 1000)

    def limit(self, default: int, most: int) -> int:
        """Give how many rows: spot cuts off what is too much, USD-M refuses it."""
        value = self.number("limit")
        if value is None:
            return default
        if value == 0 or (value > most and self.futures):
            raise refusal.invalid("limit")
        return min(value, most)

    def market(self) -> Market:
        """Give the market of the parameter ``symbol``, which has to be there."""
        symbol = self.text("symbol")
        if symbol is None:
            raise refusal.missing("symbol")
        return self._market(symbol)

    def markets(self) -> tuple[list[Market], bool]:
        """Give the markets of ``symbol`` or ``symbols`` (all without either), and whether it is just the one."""
        symbol = self.text("symbol")
        listed = None if self.futures else self.text("symbols")
        if symbol is not None and listed is not None:
            raise refusal.combination()
        if symbol is not None:
            return [self._market(symbol)], True
        if listed is None:
            return self.exchange.markets(self.futures), False
        try:
            names = msgspec.json.decode(listed, type=list[str])
        except msgspec.MsgspecError:
            raise refusal.illegal("symbols", '^\\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\\]$') from None
        return [self._market(name) for name in names], False

    def interval(self) -> Timeframe:
        """Give the timeframe of the parameter ``interval``, which has to be there."""
        name = self.text("interval")
        if name is None:
            raise refusal.missing("interval")
        if name not in TIMEFRAMES or (self.futures and name == "1s"):
            raise refusal.bad_interval()
        return TIMEFRAMES[name]

    def told(self, tape_time: int) -> int:
        """Give a time of the tape as the client is told it: venue time in ms or µs."""
        time = self.exchange.clock.venue(tape_time)
        return time if self.micro else time // 1000

    def finish(self) -> None:
        """Refuse parameters that nobody has read; USD-M does not mind them."""
        if not self.futures and (more := len(self._items.keys() - self._read)):
            raise refusal.unread(len(self._items) - more, len(self._items))

    def _market(self, symbol: str) -> Market:
        if not _SYMBOL.fullmatch(symbol):
            raise refusal.illegal("symbol", "^[A-Z0-9-_.]{1,20}$")
        market = self.exchange.market(self.futures, symbol)
        if market is None:
            raise refusal.bad_symbol()
        return market
