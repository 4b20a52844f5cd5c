"""The contract of a dialect: how the simulated exchange talks as one venue does."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.candles import Candle
from core.errors import UserError
from core.instruments import Instrument
from core.trades import TradeBatch
from exchanges.registry import venue
from simulator.endpoint import Endpoint, Refusal
from simulator.exchange import SimulatedExchange
from simulator.framing import Frame
from simulator.topic import Mark, Quote, Topic
from simulator.venue_market import VenueMarket

Close = tuple[int, str]
"""A websocket's close code and reason."""

Frames = Sequence[Frame]


@dataclass(frozen=True, slots=True)
class Manners:
    """Say what a venue bears and how it behaves; times in seconds of the real clock.

    ``messages`` in ``messages_per`` from a websocket's client, of any kind, above which it is closed with
    ``too_many``; ``attempts`` to connect in ``attempts_per`` and address, ``connections`` open ones of an address (0:
    any number), answered with ``denied`` above; ``lifetime`` of a websocket, announced ``notice`` before its end.
    ``ban``: who asked REST for too much is refused for so long. ``recent`` trades are told when a trade topic is
    subscribed. A quote that does not change is told again after ``repeat`` (0: never).
    """

    messages: int
    messages_per: float
    attempts: int
    attempts_per: float
    connections: int = 0
    denied: int = 429
    too_many: Close = (1008, "Too many requests")
    lifetime: float = 86_400
    notice: float = 60
    expired: Close = (1001, "connection reached the end of its lifetime")
    ban: float = 0
    recent: int = 0
    repeat: float = 0


@dataclass(slots=True, eq=False)
class Connection:
    """Hold what a dialect knows of one websocket; times are readings of the monotonic clock, in seconds.

    ``heard`` is when the client last sent anything, ``sent`` when we did. ``topics`` are those it has, by key;
    the server keeps them. ``notes`` are the dialect's own.
    """

    id: str
    path: str
    opened: float
    heard: float
    sent: float
    topics: dict[Hashable, Topic] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reaction:
    """Say what happens to a connection: in this order.

    ``frames`` are sent, topics ``removed`` by key (all where ``replaces``), topics ``added``, and the connection
    closed where ``close`` says so.
    """

    frames: Frames = ()
    added: Sequence[Topic] = ()
    removed: Sequence[Hashable] = ()
    replaces: bool = False
    close: Close | None = None


NOTHING = Reaction()


class Dialect(ABC):
    """Talk as one venue does, about the instruments of the tape that the venue could have.

    All times given are venue time (µs since the epoch, UTC) unless they are said to be the tape's; ``sent`` is when
    a frame goes out. What depends on the tape is a pure function of it: REST and websocket tell the same.
    """

    name: str
    """The venue's name: the prefix of its instruments."""
    paths: tuple[str, ...]
    """The paths of its websockets."""

    def __init__(self, exchange: SimulatedExchange, manners: Manners) -> None:
        self.exchange, self.manners = exchange, manners
        self.markets: dict[tuple[str, str], VenueMarket] = {}
        """The markets by section and symbol, in the order of the tape."""
        for source in (*exchange.markets(False), *exchange.markets(True)):
            named = replace(source.instrument, venue=self.name, native="")
            section = self.section(named)
            try:
                symbol = self.symbol(named)
            except UserError:
                # The venue has no such kind of instrument.
                continue
            market = VenueMarket.of(source, self.name, symbol, section)
            self.markets.setdefault((section, symbol), market)

    def venue_name(self, instrument: Instrument) -> str:
        """Give the name in `exchanges.registry` of the venue that has an instrument (``bybit-linear``)."""
        return self.name

    def section(self, instrument: Instrument) -> str:
        """Give the part of the venue that lists an instrument."""
        return ""

    def symbol(self, instrument: Instrument) -> str:
        """Give the venue's symbol of an instrument; raise `UserError` where it has no such kind."""
        return venue(self.venue_name(instrument)).native(instrument)

    def market(self, symbol: str, section: str = "") -> VenueMarket | None:
        """Look a market up; None where there is none."""
        return self.markets.get((section, symbol))

    def opened(self, connection: Connection) -> Reaction:
        """Say what happens when a websocket is open."""
        return NOTHING

    @abstractmethod
    def heard(self, connection: Connection, message: Frame) -> Reaction:
        """Say what happens when a client has sent something; never raises for what it sent."""

    def timer(self, connection: Connection, now: float) -> Reaction:
        """Say what happens as time passes, asked several times a second: heartbeats, and an end to idle ones."""
        return NOTHING

    def notice(self, connection: Connection) -> Frames:
        """Announce that the connection will be closed."""
        return ()

    @abstractmethod
    def trades(self, topic: Topic, trades: TradeBatch, sent: int, snapshot: bool) -> Frames:
        """Tell trades in order (``ts`` is venue time); ``snapshot``: the recent ones, at the subscription."""

    @abstractmethod
    def kline(self, topic: Topic, candle: Candle, closed: bool, sent: int, snapshot: bool) -> Frames:
        """Tell a candle: as far as it is, or for the last time (``closed``); ``start`` is venue time."""

    @abstractmethod
    def quote(self, topic: Topic, quote: Quote, sent: int, snapshot: bool) -> Frames:
        """Tell best bid and ask."""

    def mark_price(self, topic: Topic, mark: Mark, sent: int, snapshot: bool) -> Frames:
        """Tell what a derivative is marked at."""
        return ()

    @abstractmethod
    def endpoints(self) -> Sequence[Endpoint]:
        """Give the REST requests that are answered."""

    @abstractmethod
    def over_limit(self, endpoint: Endpoint, wait: float) -> Refusal:
        """Refuse who asks too often; ``wait`` is how long that goes on, in seconds."""
