"""Upbit's dialect: arrays that replace each other, no answer to them, and binary messages.

Sources: docs.upbit.com ("WebSocket", "Rate limits"); exchanges.md, section 7.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from core.candles import Candle
from core.errors import UserError
from core.instruments import Instrument
from core.trades import TradeBatch
from simulator.binance.book import Book
from simulator.binance.market import exact
from simulator.dialect import NOTHING, Connection, Dialect, Frames, Manners, Reaction
from simulator.endpoint import Asked, Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.framing import Frame
from simulator.topic import Quote, Topic
from simulator.upbit import frames
from simulator.upbit.names import CANDLES, formed
from simulator.upbit.patience import Group
from simulator.upbit.requests import Requests, error
from simulator.upbit.subscription import Wish, Wrong, read

MANNERS = Manners(messages=5, messages_per=1, attempts=5, attempts_per=1, recent=1)
"""The last trade is told when a trade topic is subscribed."""

_IDLE = 120
_TIMED_OUT = (1000, "idle timeout")
_UP_EVERY = 10
_UP = b'{"status":"UP"}'
_A_SECOND = 10
"""Requests that a group bears in a second."""


class Upbit(Dialect):
    """Talk as Upbit does."""

    name = "upbit"
    paths = ("/websocket/v1",)

    def __init__(self, exchange: SimulatedExchange, manners: Manners = MANNERS) -> None:
        self._groups = {name: Group(name, _A_SECOND) for name in ("market", "orderbook", "trade", "candle")}
        super().__init__(exchange, manners)

    def symbol(self, instrument: Instrument) -> str:
        """Give the market code: ``USDT-BTC``."""
        if instrument.expiry:
            raise UserError(f"{instrument.name} is not spot: Upbit has nothing else")
        return f"{instrument.quote}-{instrument.base}"

    def heard(self, connection: Connection, message: Frame) -> Reaction:
        """Take a subscription without a word, and say ``UP`` to who says ``PING``, then every ten seconds."""
        if message in ("PING", b"PING"):
            connection.notes["up"] = connection.heard + _UP_EVERY
            return Reaction((_UP,))
        try:
            wishes = read(message)
        except Wrong as wrong:
            return Reaction((f'{{"error":{{"name":"{wrong.name}","message":"{wrong.words}"}}}}'.encode(),))
        topics = [topic for wish in wishes if (topic := self.topic(wish))]
        return Reaction(added=topics, replaces=True)

    def timer(self, connection: Connection, now: float) -> Reaction:
        """Say ``UP`` to who pinged, and close a connection on which nothing comes or goes."""
        if now >= max(connection.heard, connection.sent) + _IDLE:
            return Reaction(close=_TIMED_OUT)
        due: float | None = connection.notes.get("up")
        if due is None or now < due:
            return NOTHING
        connection.notes["up"] = due + _UP_EVERY
        return Reaction((_UP,))

    def trades(self, topic: Topic, trades: TradeBatch, sent: int, snapshot: bool) -> Frames:
        """Tell each trade by itself."""
        if not _wanted(topic, snapshot):
            return ()
        source = topic.market.source
        rows = zip(trades.ids.tolist(), trades.ts.tolist(), trades.price.tolist(), strict=True)
        books = [Book(source, number, ts, exact(price)) for number, ts, price in rows]
        told = frames.trades(topic.market.symbol, trades, books, sent, _stream(snapshot))
        return [_formed(topic, body) for body in told]

    def kline(self, topic: Topic, candle: Candle, closed: bool, sent: int, snapshot: bool) -> Frames:
        """Tell a candle in which something was traded; nothing says that it is closed."""
        if not candle.trade_count or not _wanted(topic, snapshot):
            return ()
        kind = _wish(topic).type
        return (_formed(topic, frames.candle(kind, topic.market.symbol, candle, sent, _stream(snapshot))),)

    def quote(self, topic: Topic, quote: Quote, sent: int, snapshot: bool) -> Frames:
        """Tell the order book."""
        if not _wanted(topic, snapshot):
            return ()
        source = topic.market.source
        # The quote stands one tick around the last price.
        book = Book(source, quote.id, quote.time, quote.ask - source.tick)
        levels = _wish(topic).levels
        return (_formed(topic, frames.orderbook(topic.market.symbol, book, levels, sent, _stream(snapshot))),)

    def endpoints(self) -> Sequence[Endpoint]:
        """Give the requests, with what is left of their groups in the header ``Remaining-Req``."""
        requests, groups = Requests(self), self._groups
        answers: list[tuple[str, str, Callable[[Asked], Any]]] = [
            ("market/all", "market", requests.markets),
            ("orderbook/instruments", "orderbook", requests.policies),
            ("trades/ticks", "trade", requests.ticks),
            ("candles/minutes/{unit}", "candle", requests.minutes),
            ("candles/seconds", "candle", requests.candles("1s")),
            ("candles/days", "candle", requests.candles("1d")),
            ("candles/weeks", "candle", requests.candles("1w")),
            ("candles/months", "candle", requests.candles("1M")),
        ]
        return [
            Endpoint(f"/v1/{path}", partial(self._asked, groups[name], answer), _A_SECOND, 1.0, name, groups[name])
            for path, name, answer in answers
        ]

    def over_limit(self, endpoint: Endpoint, wait: float) -> Refusal:
        """Refuse with 429, and with 418 and for longer each time who goes on."""
        group = self._groups[endpoint.group]
        return _refused(group, group.refuse())

    def topic(self, wish: Wish) -> Topic | None:
        """Give the topic of a wish; None for a market that there is not, on which nothing is ever told."""
        market = self.market(wish.code)
        if market is None:
            return None
        if wish.type == "trade":
            return Topic("trade", market, wish)
        if wish.type == "orderbook":
            return Topic("quote", market, wish)
        return Topic("kline", market, wish, CANDLES[wish.type])

    def _asked(self, group: Group, answer: Callable[[Asked], Any], asked: Asked) -> Any:
        if group.blocked():
            raise _refused(group, group.refuse())
        group.count()
        try:
            return answer(asked)
        except Refusal as refusal:
            refusal.headers.update(group)
            raise


def _refused(group: Group, blocked: float) -> Refusal:
    if not blocked:
        refusal = error(429, "Too many API requests.")
    else:
        refusal = error(418, f"Request blocked due to excessive requests. Try again in {int(blocked) + 1} seconds.")
    refusal.headers.update(group)
    return refusal


def _wish(topic: Topic) -> Wish:
    return cast(Wish, topic.key)


def _wanted(topic: Topic, snapshot: bool) -> bool:
    return _wish(topic).snapshot if snapshot else _wish(topic).realtime


def _stream(snapshot: bool) -> frames.Stream:
    return "SNAPSHOT" if snapshot else "REALTIME"


def _formed(topic: Topic, body: str) -> bytes:
    return formed(body, _wish(topic).form).encode()
