"""The contract of a venue's public market data."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from core.instruments import Instrument
from exchanges.columns import Columns
from exchanges.messages import Message


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

    def instrument(self, native: str) -> Instrument:
        """Give the instrument of the venue's symbol; raise `MalformedFrame` where it is unknown."""
        ...

    def native(self, instrument: Instrument) -> str:
        """Give the venue's symbol; raise `UserError` where the venue has no such kind of instrument."""
        ...

    def subscriptions(self, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Connection]:
        """Give the connections for all instruments on all channels, within the limits.

        Channels are ``trade``, ``aggregate``, ``quote`` and ``kline_<timeframe>``; raise `UnknownName` for
        others and for those that the venue does not have.
        """
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
