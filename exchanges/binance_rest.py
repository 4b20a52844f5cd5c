"""The half of Binance that is asked by REST; paths, parameters and weights are in `exchanges.binance_endpoints`."""

from dataclasses import dataclass

from core.instruments import Instrument
from core.records import VenueCandles
from core.trades import TradeBatch
from exchanges import binance_answers
from exchanges.binance_endpoints import Endpoints
from exchanges.binance_symbols import join
from exchanges.venue import Request


@dataclass(frozen=True, kw_only=True)
class BinanceRest:
    """Hold the half of `exchanges.venue.Venue` that is asked by REST, of one of Binance's two markets."""

    endpoints: Endpoints
    futures: bool
    exchange: str = "binance"

    def native(self, instrument: Instrument) -> str:
        """Give the symbol; raise `UserError` where this market has no such instrument."""
        return join(instrument, self.futures, self.exchange)

    def time_request(self) -> Request:
        """Ask for the time."""
        return self.endpoints.time()

    def read_time(self, payload: bytes) -> int:
        """Read the time, µs since the epoch, UTC."""
        return binance_answers.read_time(payload)

    def instruments_request(self) -> Request:
        """Ask for all instruments."""
        return self.endpoints.listed()

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read the instruments that trade; see `exchanges.binance_answers.read_instruments`."""
        return binance_answers.read_instruments(payload, self.futures, self.exchange)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for a page of trades, ascending by id; see `exchanges.binance_endpoints.Endpoints.trades`."""
        return self.endpoints.trades(self.native(instrument), channel, first_id, start)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades; None for an empty one."""
        read = binance_answers.read_aggregates if channel == "aggregate" else binance_answers.read_trades
        return read(instrument.name, payload, received_at)

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest page; older ones are asked for by their ids."""
        return None if before else self.trades_request(instrument, channel)

    def first_trade_request(self, instrument: Instrument, start: int) -> Request:
        """Ask for what names the first trade at or after a time (µs), as `exchanges.history.TradeIdByTime` says."""
        return self.endpoints.first_aggregate(self.native(instrument), start)

    def read_first_trade(self, payload: bytes) -> int | None:
        """Read the id of that trade; None where there is none."""
        return binance_answers.read_first_trade(payload)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for a page of the candles that begin in [start, end) (µs), ascending."""
        return self.endpoints.candles(self.native(instrument), timeframe, start, end)

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read a page of candles, closed or not."""
        return binance_answers.read_candles(instrument.name, timeframe, payload)
