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
from exchanges import binance_endpoints, binance_frames
from exchanges.binance_columns import read_columns
from exchanges.binance_rest import BinanceRest
from exchanges.binance_symbols import split
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Subscribing

_ANSWERED = Subscribing()


@dataclass(frozen=True, kw_only=True)
class Binance(BinanceRest):
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
    trade_channel: str
    channels: Mapping[str, tuple[str, str]]
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    subscribing: Subscribing = _ANSWERED

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids of a channel's trades are good for: both number what they count."""
        if channel == "trade":
            return "trade"
        return "aggregate" if channel == "aggregate" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a symbol; raise `MalformedFrame` where it is unknown."""
        return self.listed.get(native) or split(native, self.futures, self.exchange)

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


INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M")

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
    endpoints=binance_endpoints.SPOT,
    trade_channel="trade",
    futures=False,
    channels={
        "trade": ("", "trade"),
        "aggregate": ("", "aggTrade"),
        "quote": ("", "bookTicker"),
        **{f"kline_{interval}": ("", f"kline_{interval}") for interval in ("1s", *INTERVALS)},
    },
)
