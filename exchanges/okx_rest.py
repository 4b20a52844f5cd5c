"""What OKX is asked by REST.

Source: OKX docs-v5, REST. Limits are per endpoint and address, for 2 s: ``market/trades`` 100,
``market/history-trades``, ``market/history-candles`` and ``public/instruments`` 20, ``public/time`` 10. Weights are
shares of 100, so that one budget keeps them all.
"""

from itertools import pairwise

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe as named
from core.trades import TradeBatch
from exchanges import okx_answers, okx_streams, okx_symbols
from exchanges.kline_page import page_end
from exchanges.venue import Budget, Request

BUDGET = Budget(weight=100, seconds=2)
TYPES = ("SPOT", "SWAP", "FUTURES")
"""The types of instruments that are covered; each is a list of its own."""
PAGE = 100
"""Trades of a page of ``history-trades``."""
CANDLES = 100
"""Candles of a page: newer documentation allows 300, older 100. Of a span that is longer OKX gives the newest."""
_NEWEST = 500
_ROOT = "/api/v5"


class OkxRest:
    """Hold the half of `exchanges.venue.Venue` that is asked by REST."""

    exchange: str = "okx"

    def native(self, instrument: Instrument) -> str:
        """Give the symbol; raise `UserError` for an instrument of another exchange."""
        return okx_symbols.join(instrument, self.exchange)

    def time_request(self) -> Request:
        """Ask for the time."""
        return Request(f"{_ROOT}/public/time", {}, 10)

    def read_time(self, payload: bytes) -> int:
        """Read the time, µs since the epoch, UTC."""
        return okx_answers.read_time(payload)

    def instruments_request(self) -> Request:
        """Ask for the instruments of the first type."""
        return _listed(TYPES[0])

    def next_instruments_request(self, payload: bytes) -> Request | None:
        """Ask for those of the next type, as `exchanges.history.InstrumentPages` says; none follows an empty list."""
        kinds = okx_answers.read_types(payload)
        if len(kinds) > 1 or not kinds <= set(TYPES):
            raise MalformedFrame("a list of OKX's instruments is of other types than asked for")
        following = [later for kind, later in pairwise(TYPES) if kind in kinds]
        return _listed(following[0]) if following else None

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read one list; see `exchanges.okx_answers.read_instruments`."""
        return okx_answers.read_instruments(payload, self.exchange)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for the page of trades from an id on, or for the newest one, on either channel.

        Raise `UserError` for trades by time, `UnknownName` for a channel that brings none.
        """
        if channel not in okx_answers.SPACES:
            raise UnknownName("channel of trades", channel, okx_answers.SPACES)
        if start is not None:
            raise UserError("OKX gives no trades from a time on: ask for the first id (exchanges.history.first_id)")
        if first_id is not None:
            return _older(self.native(instrument), first_id + PAGE)
        return Request(f"{_ROOT}/market/trades", {"instId": self.native(instrument), "limit": _NEWEST}, 1)

    def older_trades_request(self, instrument: Instrument, channel: str, before: tuple[int, int] | None) -> Request:
        """Ask for the newest page of trades, or for the one before an id; the venue goes back 3 months."""
        if before is None:
            return self.trades_request(instrument, channel)
        return _older(self.native(instrument), before[0])

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades, each fill for itself on either channel; None for an empty one."""
        return okx_answers.read_trades(instrument, self.native(instrument), channel, payload, received_at)

    def first_trade_request(self, instrument: Instrument, start: int) -> Request:
        """Ask for the last trade before a time (µs), as `exchanges.history.TradeIdByTime` says: ids have no holes."""
        return _history({"instId": self.native(instrument), "type": 2, "after": -(-start // 1000), "limit": 1})

    def read_first_trade(self, payload: bytes) -> int | None:
        """Read the id after that one; None where the venue reaches not so far back (3 months)."""
        return okx_answers.read_first_trade(payload)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for the candles that begin in [start, end) (µs), no more than fit a page."""
        if timeframe not in okx_streams.BARS:
            raise UnknownName("timeframe of OKX", timeframe, okx_streams.BARS)
        params: dict[str, str | int] = {
            "instId": self.native(instrument),
            "bar": okx_streams.BARS[timeframe],
            # Both bounds are exclusive: newer than the one, older than the other.
            "before": -(-start // 1000) - 1,
            "after": -(-self.klines_until(timeframe, start, end) // 1000),
            "limit": CANDLES,
        }
        return Request(f"{_ROOT}/market/history-candles", params, 5)

    def klines_until(self, timeframe: str, start: int, end: int) -> int:
        """Give where that page ends, as `exchanges.history.KlineWindows` says."""
        return page_end(named(timeframe), start, end, CANDLES)

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read a page of candles, closed or not, ascending."""
        return okx_answers.read_candles(instrument, timeframe, payload)


def _listed(kind: str) -> Request:
    return Request(f"{_ROOT}/public/instruments", {"instType": kind}, 5)


def _older(symbol: str, before_id: int) -> Request:
    return _history({"instId": symbol, "type": 1, "after": before_id, "limit": PAGE})


def _history(params: dict[str, str | int]) -> Request:
    return Request(f"{_ROOT}/market/history-trades", params, 5)
