"""Interference: the one place through which everything passes that the exchange sends, so that it can be broken."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response

from core.trades import TradeBatch
from simulator.binance.protocol import BatchingProtocol
from simulator.dialect import Frames


@dataclass(frozen=True, slots=True)
class Told:
    """Hold what is told on one topic at one time, of its own accord and not in answer to a client.

    ``kind`` is that of `simulator.topic.Topic`, or a name of the dialect's own; ``instrument`` is the tape's name.
    ``trades`` are those that the frames tell, where they tell trades.
    """

    kind: str
    instrument: str
    frames: Frames
    trades: Sequence[TradeBatch] = ()


class Line(Protocol):
    """One client's websocket.

    ``speaks`` names the dialect (of Binance, ``binance`` or ``binance-usdm``), ``instruments`` are those of the tape
    that it has subscribed to, by name.
    """

    @property
    def id(self) -> str: ...  # noqa: D102 - said above

    @property
    def speaks(self) -> str: ...  # noqa: D102

    @property
    def path(self) -> str: ...  # noqa: D102

    @property
    def instruments(self) -> set[str]: ...  # noqa: D102

    @property
    def protocol(self) -> BatchingProtocol: ...  # noqa: D102

    def write(self, frames: Frames) -> None:
        """Send frames past all interference."""
        ...

    def announce(self) -> None:
        """Say in the venue's own way that the connection will be closed, where it has one."""
        ...

    def expire(self) -> None:
        """Close the connection as the venue does when it is old."""
        ...


class Interference(Protocol):
    """Change what goes out; what is held back can be sent later by `Line.write`."""

    @property
    def active(self) -> bool:
        """Tell whether anything is changed: where nothing is, `trades` and `told` need not be asked."""
        ...

    def joined(self, line: Line) -> None:
        """Take notice of a websocket that is open now."""
        ...

    def left(self, line: Line) -> None:
        """Take notice that it is open no more."""
        ...

    def denial(self, speaks: str, path: str) -> Response | None:
        """Give the answer to who wants to open a websocket; None lets it in."""
        ...

    def hearing(self, line: Line) -> AbstractContextManager[None]:
        """Surround the answering of what a client says."""
        ...

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        """Give the trades that a dialect's websockets tell in place of those that happened, to all clients."""
        ...

    def told(self, line: Line, told: Told) -> Frames:
        """Give what is sent now to one client of what is told on a topic."""
        ...

    def frames(self, line: Line, frames: Frames) -> Frames:
        """Give what is sent now in place of frames of any kind, answers and heartbeats too."""
        ...

    async def answer(self, request: Request, response: Response) -> Response:
        """Give what is answered in place of a response to REST; may wait."""
        ...

    async def run(self) -> None:
        """Let time pass until cancelled."""
        ...


class Undisturbed:
    """Let everything pass."""

    active = False

    def joined(self, line: Line) -> None:
        """Do nothing."""

    def left(self, line: Line) -> None:
        """Do nothing."""

    def denial(self, speaks: str, path: str) -> Response | None:
        """Let everybody in."""
        return None

    def hearing(self, line: Line) -> AbstractContextManager[None]:
        """Change nothing."""
        return nullcontext()

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        """Give the trades."""
        return (batch,)

    def told(self, line: Line, told: Told) -> Frames:
        """Give the frames."""
        return told.frames

    def frames(self, line: Line, frames: Frames) -> Frames:
        """Give the frames."""
        return frames

    async def answer(self, request: Request, response: Response) -> Response:
        """Give the response."""
        return response

    async def run(self) -> None:
        """Do nothing."""
