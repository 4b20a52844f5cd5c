"""Upbit (Korea): public market data of its spot markets.

Source: docs.upbit.com, reference (websocket-guide, -trade, -orderbook, -candle; rate-limits); exchanges.md, part 7.
A message replaces all that was subscribed before and is not acknowledged; data come as binary frames of JSON.
"""

import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import UnknownName
from core.instruments import Instrument
from core.records import VenueCandles
from core.trades import TradeBatch
from exchanges import upbit_frames, upbit_rest, upbit_streams, upbit_symbols
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Request, Subscribing

# {"status":"UP"} answers, and the connection ends after 120 s without anything.
_PING = Heartbeat(by="client", interval=30, timeout=30, payload="PING")
# 5 messages a second and 100 a minute: both hold so. Codes of a message and lifetime are not documented: ours.
_LIMITS = Limits(streams=400, streams_per_message=400, messages=5, messages_per=3, attempts=5, attempts_per=1,
                 lifetime=86_400)  # fmt: skip
_REPLACING = Subscribing(acknowledged=False, replaces=True)
_KLINES = {f"kline_{name}": kind for name, kind in upbit_frames.CANDLES.items()}
_CHANNELS = {"trade": "trade", "quote": "orderbook", **_KLINES}


@dataclass(frozen=True)
class Upbit:
    """Speak Upbit; ``listed`` (code to instrument) goes before what a code suggests. ``now`` gives ns, UTC."""

    name: str = "upbit"
    exchange: str = upbit_symbols.EXCHANGE
    websocket_url: str = "wss://api.upbit.com"
    rest_url: str = "https://api.upbit.com"
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    heartbeat: Heartbeat = _PING
    limits: Limits = _LIMITS
    budget: Budget = upbit_rest.BUDGET
    subscribing: Subscribing = _REPLACING
    trade_channel: str = "trade"
    now: Callable[[], int] = clock.time_ns

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids are good for: they tell trades apart, and promise no order."""
        return "execution" if channel == "trade" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a market's code; raise `MalformedFrame` where it is none."""
        return self.listed.get(native) or upbit_symbols.split(native)

    def native(self, instrument: Instrument) -> str:
        """Give the market's code; raise `UserError` where Upbit has no such instrument."""
        return upbit_symbols.join(instrument)

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; raise `UnknownName` for other channels."""
        kinds = [self._kind(channel) for channel in dict.fromkeys(channels)]
        codes = dict.fromkeys(self.native(instrument) for instrument in instruments)
        streams, step = [f"{kind}:{code}" for kind in kinds for code in codes], self.limits.streams
        parts = [streams[at : at + step] for at in range(0, len(streams), step)]
        url = f"{self.websocket_url}/websocket/v1"
        return [Connection(url, self.requests("SUBSCRIBE", part), tuple(part)) for part in parts]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the one message after which these streams come and no others, whatever the method; none for none."""
        return (upbit_streams.message(streams),) if streams else ()

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give our name of one stream, ``type:code``; raise as `subscriptions` does."""
        return f"{self._kind(channel)}:{self.native(instrument)}"

    def time_request(self) -> Request:
        """Ask for the time, which an answer's header says."""
        return upbit_rest.time()

    def read_time(self, payload: bytes) -> int:
        """Read the time, µs since the epoch, UTC; see `exchanges.upbit_rest.read_time`."""
        return upbit_rest.read_time(payload)

    def instruments_request(self) -> Request:
        """Ask for all markets."""
        return upbit_rest.markets()

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read the markets; see `exchanges.upbit_rest.read_markets`."""
        return upbit_rest.read_markets(payload)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for the newest trades; raise `UserError` for pages from an id or a time on."""
        return upbit_rest.trades(self.native(instrument), channel, first_id, start)

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest trades, or for those before one on its UTC day; see `exchanges.history.TradesByDay`."""
        newest = self.trades_request(instrument, channel)
        return upbit_rest.older_trades(self.native(instrument), before, self.now() // 1000) if before else newest

    def day_before(self, ts: int) -> int | None:
        """Give where older trades go on after the first of a day, as `exchanges.history.TradesByDay` says."""
        return upbit_rest.day_before(ts, self.now() // 1000)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades, ascending by time; None for an empty one."""
        return upbit_rest.read_trades(instrument, self.native(instrument), payload, received_at)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for a page of the candles that begin in [start, end) (µs)."""
        return upbit_rest.klines(self.native(instrument), timeframe, start, end)

    def klines_until(self, timeframe: str, start: int, end: int) -> int:
        """Give the end of that page, as `exchanges.history.KlineWindows` says."""
        return upbit_rest.klines_until(timeframe, start, end)

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read a page of candles; see `exchanges.upbit_rest.read_candles`."""
        return upbit_rest.read_candles(instrument, self.native(instrument), timeframe, payload)

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; raise `MalformedFrame` where it is none of Upbit's, and nothing else."""
        return upbit_frames.read(frame, self.instrument)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave all frames to `parse`."""
        return Columns.untaken(len(starts))

    def _kind(self, channel: str) -> str:
        if channel not in _CHANNELS:
            raise UnknownName(f"channel of {self.name}", channel, _CHANNELS)
        return _CHANNELS[channel]


UPBIT = Upbit()
