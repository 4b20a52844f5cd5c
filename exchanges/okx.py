"""OKX v5: public market data of spot, swaps and futures.

Sources: OKX docs-v5 (WebSocket and REST), exchanges.md section 3. The channel of every fill (``trades-all``) and the
candles are at ``/business``, the others at ``/public``; on the wrong one OKX answers error 60018 or 64001.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import UnknownName
from core.instruments import Instrument
from exchanges import okx_frames, okx_streams, okx_symbols
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.okx_rest import BUDGET, OkxRest
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Subscribing


@dataclass(frozen=True)
class Okx(OkxRest):
    """Speak OKX. ``listed`` (symbol to instrument, from its lists) goes before what a symbol suggests."""

    name: str
    websocket_url: str
    rest_url: str
    heartbeat: Heartbeat
    limits: Limits
    budget: Budget
    subscribing: Subscribing
    trade_channel: str
    listed: Mapping[str, Instrument] = field(default_factory=dict)

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids are good for: both channels number every fill, ``trades`` by the last of several."""
        if channel == "trade":
            return "trade"
        return "merged" if channel == "aggregate" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a symbol; raise `MalformedFrame` where it is unknown, as options are."""
        return self.listed.get(native) or okx_symbols.split(native, self.exchange)

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; mark prices are told of derivatives only."""
        routed: dict[str, dict[str, None]] = {}
        for channel in channels:
            route, _ = self._channel(channel)
            known = [one for one in instruments if channel != "mark_price" or one.expiry]
            routed.setdefault(route, {}).update(dict.fromkeys(self.stream(one, channel) for one in known))
        size = self.limits.streams
        return [
            self._connection(route, tuple(names)[at : at + size])
            for route, names in routed.items()
            for at in range(0, len(names), size)
        ]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it, numbered from 1."""
        step = self.limits.streams_per_message
        chunks = [streams[at : at + step] for at in range(0, len(streams), step)]
        asked = [[arg for stream in chunk for arg in okx_streams.args(stream)] for chunk in chunks]
        return tuple(
            msgspec.json.encode({"id": str(number), "op": method.lower(), "args": args}).decode()
            for number, args in enumerate(asked, 1)
        )

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give the name of one stream, ``channel:symbol``; raise as `subscriptions` does."""
        _, name = self._channel(channel)
        return f"{name}:{self.native(instrument)}"

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; raise `MalformedFrame` where it is none of OKX's, and nothing else."""
        return okx_frames.read(frame, received_at, self.instrument)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave every frame to `parse`."""
        return Columns.untaken(len(starts))

    def _connection(self, route: str, streams: tuple[str, ...]) -> Connection:
        return Connection(f"{self.websocket_url}{route}", self.requests("SUBSCRIBE", streams), streams)

    def _channel(self, channel: str) -> tuple[str, str]:
        if channel not in okx_streams.CHANNELS:
            raise UnknownName(f"channel of {self.name}", channel, okx_streams.CHANNELS)
        return okx_streams.CHANNELS[channel]


OKX = Okx(
    name="okx",
    websocket_url="wss://ws.okx.com:8443/ws/v5",
    rest_url="https://www.okx.com",
    # A connection on which nothing is said for 30 s is closed; OKX wants the text, not websocket pings.
    heartbeat=Heartbeat(by="client", interval=20, timeout=30, payload="ping"),
    # 480 requests an hour and connection, 64 KB of topics a request, 3 connections a second are OKX's; it states
    # neither a number of streams (it advises few) nor a lifetime: both are ours.
    limits=Limits(
        streams=200,
        streams_per_message=50,
        messages=480,
        messages_per=3600,
        attempts=3,
        attempts_per=1,
        lifetime=86_400,
    ),
    budget=BUDGET,
    subscribing=Subscribing(),
    trade_channel="trade",
)
