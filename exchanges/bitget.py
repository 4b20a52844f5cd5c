"""Bitget v2: public market data of spot and of USDT futures.

Sources: bitget.com/api-doc ("Websocket API", public channels, market REST), exchanges.md section 6. Trade ids tell
trades apart and do not chain; a subscription begins with a snapshot of recent trades, so that a reconnect repeats
some.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import UnknownName
from core.instruments import Instrument
from exchanges import bitget_frames, bitget_streams, bitget_symbols
from exchanges.bitget_rest import BUDGET, BitgetRest
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Subscribing

_HEARTBEAT = Heartbeat(by="client", interval=20, timeout=60, payload="ping")
"""The documentation asks for one in 30 s; after 2 minutes without any, in older texts 30 s, Bitget disconnects."""

# 1000 channels are allowed, and fewer than 50 advised; a message may have 4096 bytes.
_LIMITS = Limits(
    streams=50, streams_per_message=25, messages=10, messages_per=1, attempts=300, attempts_per=300, lifetime=86_400
)
_SUBSCRIBING = Subscribing()


@dataclass(frozen=True)
class Bitget(BitgetRest):
    """Speak one of Bitget's markets.

    ``channels`` maps our channels to Bitget's. ``listed`` (symbol to instrument, from its list) goes before what a
    symbol suggests.
    """

    name: str
    channels: Mapping[str, str]
    websocket_url: str = "wss://ws.bitget.com/v2/ws/public"
    rest_url: str = "https://api.bitget.com"
    heartbeat: Heartbeat = _HEARTBEAT
    limits: Limits = _LIMITS
    budget: Budget = BUDGET
    subscribing: Subscribing = _SUBSCRIBING
    trade_channel: str = "trade"
    listed: Mapping[str, Instrument] = field(default_factory=dict)

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids of a channel's trades are good for: they tell trades apart."""
        return "execution" if channel == "trade" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a symbol; raise `MalformedFrame` where it is unknown."""
        return self.listed.get(native) or bitget_symbols.split(native, self.kind, self.exchange)

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; raise `UnknownName` for other channels."""
        for channel in channels:
            self._channel(channel)
        streams = list(dict.fromkeys(self.stream(one, channel) for channel in channels for one in instruments))
        size = self.limits.streams
        chunks = [streams[at : at + size] for at in range(0, len(streams), size)]
        return [Connection(self.websocket_url, self.requests("SUBSCRIBE", chunk), tuple(chunk)) for chunk in chunks]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it."""
        step = self.limits.streams_per_message
        chunks = [streams[at : at + step] for at in range(0, len(streams), step)]
        return tuple(
            msgspec.json.encode({"op": method.lower(), "args": [bitget_streams.arg(one) for one in chunk]}).decode()
            for chunk in chunks
        )

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give the name of one stream, ``type:channel:symbol``; raise as `subscriptions` does."""
        return f"{self.kind}:{self._channel(channel)}:{self.native(instrument)}"

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; raise `MalformedFrame` where it is none of this market of Bitget's v2, and nothing else."""
        return bitget_frames.read(frame, self.kind, self.instrument)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave every frame to `parse`."""
        return Columns.untaken(len(starts))

    def _channel(self, channel: str) -> str:
        if channel not in self.channels:
            raise UnknownName(f"channel of {self.name}", channel, self.channels)
        return self.channels[channel]


SPOT = Bitget("SPOT", "bitget", "bitget", bitget_streams.CHANNELS)
USDT = Bitget("USDT-FUTURES", "bitget", "bitget-usdt", bitget_streams.FUTURES_CHANNELS)
