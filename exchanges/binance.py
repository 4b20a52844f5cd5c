"""Binance spot and USD-M futures: public market data.

Sources: binance/binance-spot-api-docs (web-socket-streams.md, rest-api.md); for USD-M the routed addresses in
force since 2026-04-23, as binance-connector-python has them. On a wrong route Binance acknowledges a
subscription and never sends anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import MalformedFrame, UnknownName
from core.instruments import Instrument
from core.records import VenueCandles
from core.trades import TradeBatch
from exchanges import binance_answers, binance_frames, binance_rest
from exchanges.binance_columns import read_columns
from exchanges.binance_symbols import join, split
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Request, Subscribing

_ANSWERED = Subscribing()


@dataclass(frozen=True)
class Binance:
    """Speak one of Binance's two markets.

    ``channels`` maps our channels to (route below the websocket address, what follows the symbol in the
    stream's name). ``listed`` (symbol to instrument, from exchangeInfo) goes before what a symbol suggests.
    """

    name: str
    websocket_url: str
    rest_url: str
    heartbeat: Heartbeat
    limits: Limits
    budget: Budget
    endpoints: binance_rest.Endpoints
    trade_channel: str
    futures: bool
    channels: Mapping[str, tuple[str, str]]
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    exchange: str = "binance"
    subscribing: Subscribing = _ANSWERED

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids of a channel's trades are good for: both number what they count."""
        if channel == "trade":
            return "trade"
        return "aggregate" if channel == "aggregate" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a symbol; raise `MalformedFrame` where it is unknown."""
        return self.listed.get(native) or split(native, self.futures, self.exchange)

    def native(self, instrument: Instrument) -> str:
        """Give the symbol; raise `UserError` where this market has no such instrument."""
        return join(instrument, self.futures, self.exchange)

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; raise `UnknownName` for other channels.

        Streams come combined, so that every frame names its own; they are asked for by messages, because an
        address of a thousand streams is longer than many servers accept.
        """
        symbols = list(dict.fromkeys(self.native(instrument).lower() for instrument in instruments))
        routed: dict[str, list[str]] = {}
        for channel in dict.fromkeys(channels):
            route, suffix = self._channel(channel)
            routed.setdefault(route, []).extend(f"{symbol}@{suffix}" for symbol in symbols)
        size = self.limits.streams
        return [
            self._connection(route, streams[at : at + size])
            for route, streams in routed.items()
            for at in range(0, len(streams), size)
        ]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it, numbered from 1."""
        step = self.limits.streams_per_message
        chunks = [streams[at : at + step] for at in range(0, len(streams), step)]
        return tuple(
            msgspec.json.encode({"method": method, "params": chunk, "id": number}).decode()
            for number, chunk in enumerate(chunks, 1)
        )

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give the name of one stream; raise as `subscriptions` does."""
        _, suffix = self._channel(channel)
        return f"{self.native(instrument).lower()}@{suffix}"

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
        """Ask for a page of trades, ascending by id; see `exchanges.binance_rest.Endpoints.trades`."""
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

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame, raw or combined; raise `MalformedFrame` where it is none of Binance's, and nothing else."""
        try:
            return binance_frames.read(frame, received_at, self.instrument)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise MalformedFrame(f"not a frame of {self.name}: {str(error)[:160]}") from None
        except (RecursionError, ValueError):
            raise MalformedFrame(f"not a frame of {self.name}: nested too deep, or a number too long") from None

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Read the trades of many frames at once, as `exchanges.venue.Venue.trades` says."""
        return read_columns(payload, starts, sizes, self._knows)

    def _knows(self, native: str) -> bool:
        try:
            self.instrument(native)
        except MalformedFrame:
            return False
        return True

    def _channel(self, channel: str) -> tuple[str, str]:
        if channel not in self.channels:
            raise UnknownName(f"channel of {self.name}", channel, self.channels)
        return self.channels[channel]

    def _connection(self, route: str, streams: list[str]) -> Connection:
        return Connection(f"{self.websocket_url}{route}/stream", self.requests("SUBSCRIBE", streams), tuple(streams))


_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")

SPOT = Binance(
    name="binance",
    websocket_url="wss://stream.binance.com:9443",
    rest_url="https://api.binance.com",
    heartbeat=Heartbeat(by="server", interval=20, timeout=60),
    limits=Limits(
        streams=1024,
        streams_per_message=200,
        messages=5,
        messages_per=1,
        attempts=300,
        attempts_per=300,
        lifetime=86_400,
    ),
    budget=Budget(weight=6000, seconds=60),
    endpoints=binance_rest.SPOT,
    trade_channel="trade",
    futures=False,
    channels={
        "trade": ("", "trade"),
        "aggregate": ("", "aggTrade"),
        "quote": ("", "bookTicker"),
        **{f"kline_{interval}": ("", f"kline_{interval}") for interval in ("1s", *_INTERVALS)},
    },
)

USDM = Binance(
    name="binance-usdm",
    websocket_url="wss://fstream.binance.com",
    rest_url="https://fapi.binance.com",
    heartbeat=Heartbeat(by="server", interval=180, timeout=600),
    # 1024 streams stand in the documentation; ccxt and nautilus keep to 200. Attempts are not documented: as spot.
    limits=Limits(
        streams=200,
        streams_per_message=200,
        messages=10,
        messages_per=1,
        attempts=300,
        attempts_per=300,
        lifetime=86_400,
    ),
    budget=Budget(weight=2400, seconds=60),
    endpoints=binance_rest.USDM,
    trade_channel="aggregate",
    futures=True,
    channels={
        "aggregate": ("/market", "aggTrade"),
        "quote": ("/public", "bookTicker"),
        "mark_price": ("/market", "markPrice@1s"),
        **{f"kline_{interval}": ("/market", f"kline_{interval}") for interval in _INTERVALS},
    },
)
