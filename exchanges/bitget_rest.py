"""What Bitget is asked by REST.

Source: bitget.com/api-doc. Limits are per endpoint and address, for 1 s: ``fills-history`` 10, all others here 20;
weights are shares of 20, so that one budget keeps them all (and the 6000 requests a minute of an address).
"""

from dataclasses import dataclass

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import DAY, SECOND
from core.timeframes import timeframe as named
from core.trades import TradeBatch
from exchanges import bitget_answers, bitget_symbols
from exchanges.bitget_streams import BARS
from exchanges.kline_page import page_end
from exchanges.venue import Budget, Request

BUDGET = Budget(weight=20, seconds=1)
PAGE = 1000
"""Trades of a page of ``fills-history``."""
CANDLES = 200
"""Candles of a page of ``history-candles``: the last ones before the end that is asked for."""

_SPOT_BARS = BARS | {name: f"{name}in" for name in ("1m", "5m", "15m", "30m")} | {"1h": "1h", "4h": "4h"}
_MOST_DAYS = 90


@dataclass(frozen=True)
class BitgetRest:
    """Hold the half of `exchanges.venue.Venue` that is asked by REST; ``kind`` is Bitget's type of instruments."""

    kind: str
    exchange: str

    def native(self, instrument: Instrument) -> str:
        """Give the symbol; raise `UserError` where this market has no such instrument."""
        return bitget_symbols.join(instrument, self.kind, self.exchange)

    def time_request(self) -> Request:
        """Ask for the time."""
        return Request("/api/v2/public/time", {}, 1)

    def read_time(self, payload: bytes) -> int:
        """Read the time, µs since the epoch, UTC."""
        return bitget_answers.read_time(payload)

    def instruments_request(self) -> Request:
        """Ask for all instruments."""
        if self.kind == "SPOT":
            return Request("/api/v2/spot/public/symbols", {}, 1)
        return Request("/api/v2/mix/market/contracts", {"productType": self.kind}, 1)

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read the instruments that trade; see `exchanges.bitget_answers`."""
        read = bitget_answers.read_spot if self.kind == "SPOT" else bitget_answers.read_contracts
        return read(payload, self.exchange)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for the newest page of trades; raise `UserError` for any other: its ids do not chain.

        Raise `UnknownName` for a channel that brings none.
        """
        if channel != "trade":
            raise UnknownName("channel of trades", channel, ["trade"])
        if first_id is not None or start is not None:
            raise UserError("Bitget gives trades backwards only: ask for older ones (older_trades_request)")
        return self._market("fills-history", instrument, {"limit": PAGE}, 2)

    @property
    def page_step(self) -> int:
        """Give the step (µs) of the times that ``fills-history`` tells: some are of whole seconds."""
        return SECOND

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest page of trades, or for those with lower ids than one; the venue keeps 30 to 90 days."""
        if before is None:
            return self.trades_request(instrument, channel)
        return self._market("fills-history", instrument, {"limit": PAGE, "idLessThan": before[0]}, 2)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades, ascending by time; None for an empty one."""
        return bitget_answers.read_trades(instrument, self.native(instrument), payload, received_at)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for the candles that begin in [start, end) (µs), no more than fit a page, and maybe some before."""
        bars = _SPOT_BARS if self.kind == "SPOT" else BARS
        if timeframe not in bars:
            raise UnknownName("timeframe of Bitget", timeframe, bars)
        until = -(-self.klines_until(timeframe, start, end) // 1000)
        params: dict[str, str | int] = {"granularity": bars[timeframe], "endTime": until, "limit": CANDLES}
        return self._market("history-candles", instrument, params, 1)

    def klines_until(self, timeframe: str, start: int, end: int) -> int:
        """Give where that page ends, as `exchanges.history.KlineWindows` says.

        One candle less than a page holds: whether ``endTime`` itself is in it is not documented. Futures answer for
        90 days at most.
        """
        rows = CANDLES - 1
        if self.kind != "SPOT":
            length = named(timeframe).micros or 31 * DAY
            rows = max(1, min(rows, _MOST_DAYS * DAY // length - 1))
        return page_end(named(timeframe), start, end, rows)

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read a page of candles, closed or not, ascending."""
        return bitget_answers.read_candles(instrument, timeframe, payload)

    def _market(self, what: str, instrument: Instrument, params: dict[str, str | int], weight: int) -> Request:
        asked: dict[str, str | int] = {"symbol": self.native(instrument)}
        if self.kind == "SPOT":
            return Request(f"/api/v2/spot/market/{what}", asked | params, weight)
        return Request(f"/api/v2/mix/market/{what}", asked | {"productType": self.kind} | params, weight)
