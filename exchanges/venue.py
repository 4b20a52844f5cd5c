"""The contract of a venue's public market data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from core.instruments import Instrument
from core.records import VenueCandles
from core.trades import TradeBatch
from exchanges.columns import Columns
from exchanges.messages import IdSpace, Message


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Say how a connection is kept alive.

    ``by`` begins, every ``interval`` seconds; without an answer the connection is dead after ``timeout``
    seconds. ``payload`` is the text to send; None means websocket ping frames, answered with their payload.
    A heartbeat is no data: it says nothing about whether the subscriptions work.
    """

    by: Literal["server", "client"]
    interval: float
    timeout: float
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class Subscribing:
    """Say how a connection takes streams in.

    ``acknowledged``: the venue answers each message (Upbit answers none: data are the proof). ``replaces``: every
    message replaces all that was subscribed before, so `Venue.requests` is given all streams. ``opening`` is what a
    connection begins with, before it subscribes. ``kind_bytes``: frames whose first so many bytes are equal are of
    one kind, so that data are told from answers without reading every frame.
    """

    acknowledged: bool = True
    replaces: bool = False
    opening: tuple[str, ...] = ()
    kind_bytes: int = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """Say what the venue tolerates; times in seconds.

    ``streams`` a connection; ``streams_per_message`` in one subscribe request; ``messages`` from us in
    ``messages_per``, of any kind; ``attempts`` to connect in ``attempts_per``, per address;
    ``lifetime`` after which the venue cuts a connection.
    """

    streams: int
    streams_per_message: int
    messages: int
    messages_per: float
    attempts: int
    attempts_per: float
    lifetime: float


@dataclass(frozen=True, slots=True)
class Budget:
    """Say how much REST the venue tolerates: the sum of the requests' weights in ``seconds``, per address."""

    weight: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Request:
    """Name one REST request (GET): the path below the venue's REST address, its parameters and its weight.

    With ``header`` the answer is the value of that header, not the body.
    """

    path: str
    params: Mapping[str, str | int]
    weight: int
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """Name one connection to open: its address, what to send once it is open, and the streams it then carries."""

    url: str
    messages: tuple[str, ...]
    streams: tuple[str, ...]


class Venue(Protocol):
    """Read and subscribe to one venue's public market data; without state and without I/O.

    ``name`` is the venue's in settings and commands (``binance-usdm``); ``exchange`` is the prefix of its
    instruments' names (``binance``). The addresses are defaults: settings may name others.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - said above

    @property
    def exchange(self) -> str: ...  # noqa: D102

    @property
    def websocket_url(self) -> str: ...  # noqa: D102

    @property
    def rest_url(self) -> str: ...  # noqa: D102

    @property
    def heartbeat(self) -> Heartbeat: ...  # noqa: D102

    @property
    def limits(self) -> Limits: ...  # noqa: D102

    @property
    def budget(self) -> Budget: ...  # noqa: D102

    @property
    def subscribing(self) -> Subscribing: ...  # noqa: D102

    @property
    def trade_channel(self) -> str:
        """Give the channel whose trades are recorded unless the settings name others."""
        ...

    def id_space(self, channel: str) -> IdSpace | None:
        """Give what the ids of the channel's trades are good for; None for a channel that brings no trades."""
        ...

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of the venue's symbol; raise `MalformedFrame` where it is unknown."""
        ...

    def native(self, instrument: Instrument) -> str:
        """Give the venue's symbol; raise `UserError` where the venue has no such kind of instrument."""
        ...

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels, within the limits.

        Channels are ``trade``, ``aggregate``, ``quote``, ``mark_price`` and ``kline_<timeframe>``; raise
        `UnknownName` for others and for those that the venue does not have.
        """
        ...

    def requests(self, method: Literal["SUBSCRIBE", "UNSUBSCRIBE"], streams: Sequence[str]) -> tuple[str, ...]:
        """Give the messages that take streams into an open connection, or out of it."""
        ...

    def stream(self, instrument: Instrument, channel: str) -> str:
        """Give the name of one stream; raise as `subscriptions` does."""
        ...

    def time_request(self) -> Request:
        """Ask for the venue's time; `read_time` reads the answer (µs since the epoch, UTC)."""
        ...

    def read_time(self, payload: bytes) -> int: ...  # noqa: D102

    def instruments_request(self) -> Request:
        """Ask for all instruments; `read_instruments` reads the answer: those that trade, with tick and lot."""
        ...

    def read_instruments(self, payload: bytes) -> list[Instrument]: ...  # noqa: D102

    def trades_request(
        self, instrument: Instrument, channel: str, *, first_id: int | None = None, start: int | None = None
    ) -> Request:
        """Ask for a page of trades, ascending by id: from an id on, from a time on (µs), or the newest ones.

        ``channel`` says which ids: those of ``trade`` or of ``aggregate``. Raise `UserError` where the venue
        cannot answer that.
        """
        ...

    def older_trades_request(
        self, instrument: Instrument, channel: str, before: tuple[int, int] | None
    ) -> Request | None:
        """Ask for the newest page of trades, or for the one before a trade's (id, event time in µs).

        For id spaces that do not chain: the pages are read backwards until they meet what is known. None where the
        venue goes no further back. `read_trades` reads the answer.
        """
        ...

    def read_trades(
        self, instrument: Instrument, channel: str, payload: bytes, received_at: int
    ) -> TradeBatch | None:
        """Read a page of trades; None for an empty one."""
        ...

    def klines_request(self, instrument: Instrument, timeframe: str, start: int, end: int) -> Request:
        """Ask for the venue's candles that begin in [start, end) (µs), as many as a page holds, ascending."""
        ...

    def read_klines(self, instrument: Instrument, timeframe: str, payload: bytes) -> VenueCandles:
        """Read a page of candles, closed or not; all readers raise `MalformedFrame` and nothing else."""
        ...

    def parse(self, frame: bytes, received_at: int) -> list[Message]:
        """Read a frame; ``received_at`` is µs since the epoch, UTC.

        Pure and total: for any bytes at all it gives messages (none, where the frame is known and holds
        nothing that is recorded) or raises `MalformedFrame`, and nothing else.
        """
        ...

    def trades(self, payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> Columns:
        r"""Read the trades of many frames at once.

        Frame ``i`` is ``payload[starts[i]:starts[i] + sizes[i]]``, and a newline follows it. What is taken
        equals what `parse` gives, bit for bit; what is not surely valid is left in ``rest``.
        """
        ...
