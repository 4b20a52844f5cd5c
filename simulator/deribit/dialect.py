"""Deribit's dialect: JSON-RPC over one websocket address and over GET.

Sources: docs.deribit.com ("JSON-RPC", "Session management", "Rate limits", "Subscription management"); exchanges.md,
section 5.
"""

import json
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from core.candles import Candle
from core.instruments import Instrument
from core.timeframes import SECOND
from core.trades import TradeBatch
from simulator.deribit import frames
from simulator.deribit.methods import METHODS, Params, RpcError, invalid, too_many
from simulator.deribit.names import RESOLUTIONS, named
from simulator.deribit.standing import Standing
from simulator.dialect import NOTHING, Connection, Dialect, Frames, Manners, Reaction
from simulator.endpoint import Asked, Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.framing import Frame
from simulator.topic import Mark, Quote, Topic

MANNERS = Manners(messages=1000, messages_per=1, attempts=1000, attempts_per=60, connections=32)
"""Credits limit what a client asks for (`simulator.deribit.standing`); 32 connections of an address at once."""

_LARGEST = 32 * 1024
_BATCH = SECOND // 10
_TOO_BIG = (1009, "Message Too Big: limit 32768B")
_GONE = (1000, "test_request was not answered")


class Deribit(Dialect):
    """Talk as Deribit does."""

    name = "deribit"
    paths = ("/ws/api/v2",)

    def __init__(self, exchange: SimulatedExchange, manners: Manners = MANNERS) -> None:
        super().__init__(exchange, manners)

    def symbol(self, instrument: Instrument) -> str:
        """Give the instrument's name at Deribit."""
        return named(instrument)

    def heard(self, connection: Connection, message: Frame) -> Reaction:
        """Answer a request; without credits it is the last one."""
        if len(message) > _LARGEST:
            return Reaction(close=_TOO_BIG)
        number, begun = None, self.exchange.venue_now()
        try:
            request = _decoded(message)
            number = request.get("id")
            standing = self._standing(connection)
            if not standing.spend(str(request["method"]), connection.heard):
                raise too_many()
            result, reaction = self._perform(standing, request)
        except RpcError as error:
            close = (1008, error.message) if error.code == too_many().code else None
            return Reaction((self._failed(error, number, begun),), close=close)
        answer = self._answered(result, number, begun)
        return Reaction((answer, *reaction.frames), reaction.added, reaction.removed, reaction.replaces)

    def timer(self, connection: Connection, now: float) -> Reaction:
        """Send the heartbeats that the client asked for; close where it does not answer."""
        due = self._standing(connection).beats(now)
        if due is None:
            return NOTHING
        told = [f'{{"jsonrpc":"2.0","method":"heartbeat","params":{{"type":"{kind}"}}}}' for kind in due]
        return Reaction(told) if due else Reaction(close=_GONE)

    def trades(self, topic: Topic, trades: TradeBatch, sent: int, snapshot: bool) -> Frames:
        """Tell trades in one message each tenth of a second."""
        rows = frames.trades(topic.market.instrument, trades)
        edges = np.flatnonzero(np.diff(trades.ts // _BATCH)) + 1
        bounds = [0, *edges.tolist(), len(rows)]
        parts = [rows[start:end] for start, end in pairwise(bounds)]
        return [frames.notification(str(topic.key), frames.listed(part)) for part in parts if part]

    def kline(self, topic: Topic, candle: Candle, closed: bool, sent: int, snapshot: bool) -> Frames:
        """Tell a candle; nothing says that it is closed."""
        return (frames.notification(str(topic.key), frames.candle(topic.market, candle)),)

    def quote(self, topic: Topic, quote: Quote, sent: int, snapshot: bool) -> Frames:
        """Tell best bid and ask."""
        return (frames.notification(str(topic.key), frames.quote(topic.market, quote)),)

    def mark_price(self, topic: Topic, mark: Mark, sent: int, snapshot: bool) -> Frames:
        """Tell the ticker."""
        return (frames.notification(str(topic.key), frames.ticker(topic.market, mark)),)

    def endpoints(self) -> Sequence[Endpoint]:
        """Give all public methods; an address may ask for 20 a second, ``get_instruments`` for 1."""
        return [
            Endpoint(
                f"/api/v2/{method}",
                partial(self._asked, method),
                requests=10 if method == "public/get_instruments" else 100,
                per=10 if method == "public/get_instruments" else 5,
                group=method if method == "public/get_instruments" else "credits",
            )
            for method in METHODS
        ]

    def over_limit(self, endpoint: Endpoint, wait: float) -> Refusal:
        """Refuse for want of credits."""
        return self._refused(too_many(), self.exchange.venue_now(), 429)

    def topic(self, channel: object) -> Topic | None:
        """Give the topic of a channel, None for one that Deribit leaves out of its answer."""
        parts = channel.split(".") if isinstance(channel, str) else []
        kind, rest = (parts[0], parts[1:]) if parts else ("", [])
        if kind == "chart" and len(rest) == 3 and rest[0] == "trades":
            market, timeframe = self.market(rest[1]), RESOLUTIONS.get(rest[2], "")
            return Topic("kline", market, channel, timeframe) if market and timeframe else None
        market = self.market(rest[0]) if rest else None
        if market is None:
            return None
        if kind == "trades" and rest[1:] in (["100ms"], ["agg2"]):
            return Topic("trade", market, channel)
        if kind == "quote" and len(rest) == 1:
            return Topic("quote", market, channel)
        if kind == "ticker" and rest[1:] in (["100ms"], ["agg2"]):
            return Topic("mark_price", market, channel)
        return None

    def _perform(self, standing: Standing, request: dict[str, Any]) -> tuple[str, Reaction]:
        method, params = request["method"], request.get("params") or {}
        if not isinstance(params, dict):
            raise RpcError(-32600, "Invalid Request")
        if method == "public/subscribe":
            channels = _channels(params)
            if any(isinstance(channel, str) and channel.endswith(".raw") for channel in channels):
                raise RpcError(13778, "raw_subscriptions_not_available_for_unauthorized")
            topics = [topic for channel in channels if (topic := self.topic(channel))]
            return _names(topics), Reaction(added=topics)
        if method == "public/unsubscribe":
            topics = [topic for channel in _channels(params) if (topic := self.topic(channel))]
            return _names(topics), Reaction(removed=[topic.key for topic in topics])
        if method == "public/unsubscribe_all":
            return '"ok"', Reaction(replaces=True)
        if method in ("public/set_heartbeat", "public/disable_heartbeat"):
            standing.beat_every(_interval(params) if method == "public/set_heartbeat" else None)
            return '"ok"', NOTHING
        if method not in METHODS:
            raise RpcError(-32601, "Method not found")
        return METHODS[method](self, params), NOTHING

    def _asked(self, method: str, asked: Asked) -> bytes:
        begun = self.exchange.venue_now()
        try:
            return self._answered(METHODS[method](self, asked.params), None, begun).encode()
        except RpcError as error:
            raise self._refused(error, begun, 400) from None

    def _standing(self, connection: Connection) -> Standing:
        standing: Standing = connection.notes.setdefault("standing", Standing(connection.opened))
        return standing

    def _refused(self, error: RpcError, begun: int, status: int) -> Refusal:
        return Refusal(self._failed(error, None, begun).encode(), status)

    def _answered(self, result: str, number: object, begun: int) -> str:
        return f'{{"jsonrpc":"2.0",{_numbered(number)}"result":{result},{self._times(begun)}}}'

    def _failed(self, error: RpcError, number: object, begun: int) -> str:
        told = f'"error":{{"code":{error.code},"message":"{error.message}","data":{error.data}}}'
        return f'{{"jsonrpc":"2.0",{_numbered(number)}{told},{self._times(begun)}}}'

    def _times(self, begun: int) -> str:
        now = self.exchange.venue_now()
        return f'"usIn":{begun},"usOut":{now},"usDiff":{now - begun},"testnet":false'


def _decoded(message: Frame) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise RpcError(-32700, "Parse error") from None
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise RpcError(-32600, "Invalid Request")
    if not isinstance(request.get("id"), int | str | float | None):
        raise RpcError(-32600, "Invalid Request")
    return request


def _channels(params: Params) -> list[object]:
    channels = params.get("channels")
    if not isinstance(channels, list):
        raise invalid("channels", "required")
    return channels


def _interval(params: Params) -> float:
    interval = params.get("interval")
    if isinstance(interval, bool) or not isinstance(interval, int | float) or interval < 10:
        raise invalid("interval", "must be 10 or more")
    return float(interval)


def _names(topics: Sequence[Topic]) -> str:
    return frames.listed([f'"{topic.key}"' for topic in topics])


def _numbered(number: object) -> str:
    return "" if number is None else f'"id":{json.dumps(number)},'
