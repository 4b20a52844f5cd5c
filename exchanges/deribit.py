"""Deribit: public market data of futures, perpetuals and spot pairs.

Sources: docs.deribit.com (JSON-RPC over websocket, subscriptions, market data), support.deribit.com "Rate Limits" and
"Connection Management": 32 connections an address, frames of 32 kB, subscribing costs 3000 of 30,000 credits and
10,000 come back a second, and who spends more loses the connection. Channels of 100 ms need no login. ``trade_seq``
counts the trades of an instrument without a hole. Sizes are the venue's ``amount``: US dollars of inverse futures,
units of base elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import UnknownName
from core.instruments import Instrument
from core.trades import TradeBatch
from exchanges import deribit_answers, deribit_frames, deribit_rest, deribit_symbols
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Request, Subscribing

_OPENING = (
    f'{{"jsonrpc":"2.0","id":{deribit_frames.OURS},"method":"public/set_heartbeat","params":{{"interval":30}}}}'
)
_CHANNELS = {
    "trade": "trades.{}.100ms",
    "quote": "quote.{}",
    "mark_price": "ticker.{}.100ms",
    **{f"kline_{name}": f"chart.trades.{{}}.{code}" for name, code in deribit_frames.RESOLUTIONS.items()},
}


@dataclass(frozen=True)
class Deribit:
    """Speak Deribit's market; ``listed`` (name to instrument) goes before what a name suggests."""

    name: str
    websocket_url: str
    rest_url: str
    heartbeat: Heartbeat
    limits: Limits
    budget: Budget
    subscribing: Subscribing
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    exchange: str = deribit_symbols.EXCHANGE
    trade_channel: str = "trade"

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids of a channel's trades are good for: ``trade_seq`` counts them."""
        return "trade" if channel == "trade" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a name of Deribit's; raise `MalformedFrame` where it is unknown, or an option."""
        return self.listed.get(native) or deribit_symbols.split(native)

    def native(self, instrument: Instrument) -> str:
        """Give Deribit's name; raise `UserError` where Deribit can have no such instrument."""
        return deribit_symbols.join(instrument)

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; raise `UnknownName` for other channels."""
        forms, symbols = [self._channel(channel) for channel in channels], [self.native(one) for one in instruments]
        streams = list(dict.fromkeys(form.format(symbol) for form in forms for symbol in symbols))
        size = self.limits.streams
        parts = [streams[at : at + size] for at in range(0, len(streams), size)]
        return [Connection(self.websocket_url, self.requests("SUBSCRIBE", part), tuple(part)) for part in parts]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it, numbered from 1."""
        step, called = self.limits.streams_per_message, f"public/{method.lower()}"
        chunks = [list(streams[at : at + step]) for at in range(0, len(streams), step)]
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": called, "params": {"channels": chunk}}
            for number, chunk in enumerate(chunks, 1)
        ]
        return tuple(msgspec.json.encode(call).decode() for call in calls)

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give the name of one stream; raise as `subscriptions` does."""
        return self._channel(channel).format(self.native(instrument))

    time_request = staticmethod(deribit_rest.time)
    read_time = staticmethod(deribit_answers.read_time)
    instruments_request = staticmethod(deribit_rest.instruments)
    read_instruments = staticmethod(deribit_answers.read_instruments)
    klines_until = staticmethod(deribit_rest.klines_until)
    read_klines = staticmethod(deribit_answers.read_candles)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for a page of trades; see `exchanges.deribit_rest.trades`."""
        return deribit_rest.trades(self.native(instrument), channel, first_id, start)

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest page, or for the one before a trade; None before the first."""
        return deribit_rest.older_trades(self.native(instrument), channel, before)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades, ascending; None for an empty one."""
        return deribit_answers.read_trades(instrument, payload, received_at)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for a page of the candles that begin in [start, end) (µs), ascending."""
        return deribit_rest.candles(self.native(instrument), timeframe, start, end)

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; raise `MalformedFrame` where it is none of Deribit's, or of an option, and nothing else."""
        return deribit_frames.read(frame, received_at, self.instrument)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave every frame to `parse`."""
        return Columns.untaken(len(starts))

    def _channel(self, channel: str) -> str:
        if channel not in _CHANNELS:
            raise UnknownName(f"channel of {self.name}", channel, _CHANNELS)
        return _CHANNELS[channel]


DERIBIT = Deribit(
    name="deribit",
    websocket_url="wss://www.deribit.com/ws/api/v2",
    rest_url="https://www.deribit.com/api/v2",
    heartbeat=Heartbeat(by="server", interval=30, timeout=75),
    # 500 of the longest names are less than 32 kB. Neither streams, attempts nor a lifetime are documented.
    limits=Limits(
        streams=1000,
        streams_per_message=500,
        messages=3,
        messages_per=1,
        attempts=30,
        attempts_per=60,
        lifetime=86_400,
    ),
    budget=Budget(weight=10_000, seconds=1),
    subscribing=Subscribing(opening=(_OPENING,), kind_bytes=40),
)
