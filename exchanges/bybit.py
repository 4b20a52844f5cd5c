"""Bybit v5: public market data of spot, linear (USDT and USDC) and inverse contracts.

Source: bybit-exchange/docs, docs/v5 (websocket/wss-authentication.mdx, websocket/public, market).
A topic that does not exist fails its whole request (``error:handler not found,topic:…``), so requests are small.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import UnknownName
from core.instruments import Instrument
from core.records import VenueCandles
from core.trades import TradeBatch
from exchanges import bybit_frames, bybit_rest, bybit_symbols
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Request, Subscribing

_PING = Heartbeat(by="client", interval=20, timeout=10, payload='{"op":"ping"}')
# 21,000 characters of topics a connection, 46 the longest, at spot 10 topics a request; messages, lifetime are ours.
_LIMITS = Limits(streams=400, streams_per_message=10, messages=10, messages_per=1, attempts=500, attempts_per=300,
                 lifetime=86_400)  # fmt: skip
_ANSWERED = Subscribing()
_KLINES = {f"kline_{name}": f"kline.{interval}" for name, interval in bybit_frames.INTERVALS.items()}
_CHANNELS = {"trade": "publicTrade", "quote": "orderbook.1", **_KLINES}


@dataclass(frozen=True)
class Bybit:
    """Speak one of Bybit's categories; ``listed`` (symbol to instrument) goes before what a symbol suggests."""

    name: str
    category: bybit_symbols.Category
    channels: Mapping[str, str]
    websocket_url: str = "wss://stream.bybit.com"
    rest_url: str = "https://api.bybit.com"
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    exchange: str = bybit_symbols.EXCHANGE
    heartbeat: Heartbeat = _PING
    limits: Limits = _LIMITS
    budget: Budget = bybit_rest.BUDGET
    subscribing: Subscribing = _ANSWERED
    trade_channel: str = "trade"

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids are good for: they tell trades apart, no more."""
        return "execution" if channel == "trade" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a symbol; raise `MalformedFrame` where it is unknown."""
        return self.listed.get(native) or bybit_symbols.split(native, self.category)

    def native(self, instrument: Instrument) -> str:
        """Give the symbol; raise `UserError` where this category has no such instrument."""
        return bybit_symbols.join(instrument, self.category, self.listed.values())

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; raise `UnknownName` for other channels."""
        topics = [self._topic(channel) for channel in dict.fromkeys(channels)]
        symbols = dict.fromkeys(self.native(instrument) for instrument in instruments)
        streams = [f"{topic}.{symbol}" for topic in topics for symbol in symbols]
        url, step = f"{self.websocket_url}/v5/public/{self.category}", self.limits.streams
        parts = [streams[at : at + step] for at in range(0, len(streams), step)]
        return [Connection(url, self.requests("SUBSCRIBE", part), tuple(part)) for part in parts]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it, numbered from 1."""
        step = self.limits.streams_per_message
        asked = [(str(at // step + 1), streams[at : at + step]) for at in range(0, len(streams), step)]
        messages = [{"req_id": number, "op": method.lower(), "args": args} for number, args in asked]
        return tuple(msgspec.json.encode(message).decode() for message in messages)

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give the name of one stream; raise as `subscriptions` does."""
        return f"{self._topic(channel)}.{self.native(instrument)}"

    def time_request(self) -> Request:
        """Ask for the time."""
        return bybit_rest.time()

    def read_time(self, payload: bytes) -> int:
        """Read the time, µs since the epoch, UTC."""
        return bybit_rest.read_time(payload)

    def instruments_request(self) -> Request:
        """Ask for the first page of the instruments that trade."""
        return bybit_rest.instruments(self.category)

    def next_instruments_request(self, payload: bytes) -> Request | None:
        """Ask for the page after this one, as `exchanges.history.InstrumentPages` says."""
        cursor = bybit_rest.read_cursor(self.category, payload)
        return bybit_rest.instruments(self.category, cursor) if cursor else None

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read the instruments that trade; see `exchanges.bybit_rest.read_instruments`."""
        return bybit_rest.read_instruments(self.category, payload)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for the newest trades; raise `UserError` for others, which Bybit does not tell."""
        return bybit_rest.trades(self.category, self.native(instrument), channel, first_id, start)

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest page: there is no older one."""
        return None if before else self.trades_request(instrument, channel)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades, ascending by time; None for an empty one."""
        return bybit_rest.read_trades(self.category, instrument, self.native(instrument), payload, received_at)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for a page of the candles that begin in [start, end) (µs)."""
        return bybit_rest.klines(self.category, self.native(instrument), timeframe, start, end)

    def klines_until(self, timeframe: str, start: int, end: int) -> int:
        """Give the end of that page, as `exchanges.history.KlineWindows` says."""
        return bybit_rest.klines_until(timeframe, start, end)

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read a page of candles; see `exchanges.bybit_rest.read_candles`."""
        return bybit_rest.read_candles(self.category, instrument, self.native(instrument), timeframe, payload)

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; raise `MalformedFrame` where it is none of Bybit v5's, and nothing else."""
        return bybit_frames.read(frame, self.instrument)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave all frames to `parse`."""
        return Columns.untaken(len(starts))

    def _topic(self, channel: str) -> str:
        if channel not in self.channels:
            raise UnknownName(f"channel of {self.name}", channel, self.channels)
        return self.channels[channel]


SPOT = Bybit("bybit", "spot", _CHANNELS)
LINEAR = Bybit("bybit-linear", "linear", {**_CHANNELS, "mark_price": "tickers"})
INVERSE = Bybit("bybit-inverse", "inverse", {**_CHANNELS, "mark_price": "tickers"})
