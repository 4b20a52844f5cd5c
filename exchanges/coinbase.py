"""Coinbase Exchange: public market data of its spot markets.

Source: docs.cdp.coinbase.com, Exchange WebSocket (overview, channels, rate limits). Its servers may drop messages:
``trade_id``, which counts the trades of a product, shows it. A product that does not exist fails its whole request.
There are no candles but by REST, and best bid and ask come with matches only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from core.trades import TradeBatch
from exchanges import coinbase_frames, coinbase_rest
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message
from exchanges.venue import Budget, Connection, Heartbeat, Limits, Request, Subscribing

# A pong answers every websocket ping; how long a silent connection is kept is not documented.
_PING = Heartbeat(by="client", interval=20, timeout=20)
# 8 connections and 100 messages a second and address; it advises to spread products. Streams, lifetime are ours.
_LIMITS = Limits(streams=100, streams_per_message=50, messages=100, messages_per=1, attempts=8, attempts_per=1,
                 lifetime=86_400)  # fmt: skip
_ANSWERED = Subscribing()
_CHANNELS = {"trade": "matches", "quote": "ticker"}
_PRODUCT = re.compile(r"[A-Z0-9]{1,20}-[A-Z0-9]{1,12}")


@dataclass(frozen=True)
class Coinbase:
    """Speak Coinbase Exchange; ``listed`` (product to instrument) goes before what a product's id suggests."""

    name: str = "coinbase"
    exchange: str = "coinbase"
    websocket_url: str = "wss://ws-feed.exchange.coinbase.com"
    rest_url: str = "https://api.exchange.coinbase.com"
    listed: Mapping[str, Instrument] = field(default_factory=dict)
    heartbeat: Heartbeat = _PING
    limits: Limits = _LIMITS
    budget: Budget = coinbase_rest.BUDGET
    subscribing: Subscribing = _ANSWERED
    trade_channel: str = "trade"

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids of a channel's trades are good for: they count them."""
        return "trade" if channel == "trade" else None

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of a product's id; raise `MalformedFrame` where it is none."""
        return self.listed.get(native) or _split(native)

    def native(self, instrument: Instrument) -> str:
        """Give the product's id; raise `UserError` where Coinbase has no such instrument."""
        if instrument.venue != self.exchange or instrument.expiry:
            raise UserError(f"{instrument.name} is not a spot market of Coinbase")
        return f"{instrument.base}-{instrument.quote}"

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels; raise `UnknownName` for other channels."""
        names = [self._channel(channel) for channel in dict.fromkeys(channels)]
        products = dict.fromkeys(self.native(instrument) for instrument in instruments)
        streams, step = [f"{name}:{product}" for name in names for product in products], self.limits.streams
        parts = [streams[at : at + step] for at in range(0, len(streams), step)]
        return [Connection(self.websocket_url, self.requests("SUBSCRIBE", part), tuple(part)) for part in parts]

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it."""
        step = self.limits.streams_per_message
        return tuple(_message(method.lower(), streams[at : at + step]) for at in range(0, len(streams), step))

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give our name of one stream, ``channel:product``; raise as `subscriptions` does."""
        return f"{self._channel(channel)}:{self.native(instrument)}"

    def time_request(self) -> Request:
        """Ask for the time."""
        return Request("/time", {}, 1)

    read_time = staticmethod(coinbase_rest.read_time)

    def instruments_request(self) -> Request:
        """Ask for all products."""
        return Request("/products", {}, 1)

    def read_instruments(self, payload: bytes) -> list[Instrument]:
        """Read the products that trade; see `exchanges.coinbase_rest.read_products`."""
        return coinbase_rest.read_products(payload, _split)

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for a page of trades; see `exchanges.coinbase_rest.trades`."""
        return coinbase_rest.trades(self.native(instrument), channel, first_id, start)

    def older_trades_request(self, instrument: Instrument, channel: str, before: tuple[int, int] | None) -> Request:
        """Ask for the newest page of trades, or for the one before an id: they go back to the first."""
        return coinbase_rest.older_trades(self.native(instrument), before[0] if before else None)

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades, ascending by id; None for an empty one."""
        return coinbase_rest.read_trades(instrument, payload, received_at)

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for a page of the candles that begin in [start, end) (µs)."""
        return coinbase_rest.klines(self.native(instrument), timeframe, start, end)

    klines_until = staticmethod(coinbase_rest.klines_until)
    read_klines = staticmethod(coinbase_rest.read_candles)

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; raise `MalformedFrame` where it is none of Coinbase's, and nothing else."""
        return coinbase_frames.read(frame, self.instrument)

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        """Leave every frame to `parse`."""
        return Columns.untaken(len(starts))

    def _channel(self, channel: str) -> str:
        if channel not in _CHANNELS:
            raise UnknownName(f"channel of {self.name}", channel, _CHANNELS)
        return _CHANNELS[channel]


@lru_cache(maxsize=8192)
def _split(product: str) -> Instrument:
    if _PRODUCT.fullmatch(product) is None:
        raise MalformedFrame(f"unknown product {product[:40]!r}")
    base, _, quote = product.partition("-")
    return Instrument("coinbase", base, quote, native=product)


def _message(called: str, streams: Sequence[str]) -> str:
    channels: dict[str, list[str]] = {}
    for stream in streams:
        name, _, product = stream.partition(":")
        channels.setdefault(name, []).append(product)
    asked = [{"name": name, "product_ids": products} for name, products in channels.items()]
    return msgspec.json.encode({"type": called, "channels": asked}).decode()


COINBASE = Coinbase()
