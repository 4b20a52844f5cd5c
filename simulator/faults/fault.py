"""The contract of a fault: its parameters, what it does when it begins, and what it does while it lasts."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import ClassVar, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from core.instruments import Instrument
from core.trades import TradeBatch
from simulator.dialect import Frames
from simulator.exchange import SimulatedExchange
from simulator.faults.entry import Entry
from simulator.faults.listings import Listings
from simulator.faults.redacted_tape import RedactedTape
from simulator.faults.step import Step
from simulator.interference import Line, Told

Filter = Literal["instruments", "channels", "connections", "paths", "sockets"]
SOCKETS: frozenset[Filter] = frozenset({"connections", "sockets"})
TOPICS: frozenset[Filter] = SOCKETS | {"instruments", "channels"}


class Stage:
    """Give one fault what it acts upon; ``lines`` are the websockets that are open."""

    def __init__(
        self, exchange: SimulatedExchange, listings: Listings, lines: Collection[Line], step: Step, entry: Entry
    ) -> None:
        self.exchange, self.listings, self.step, self.entry = exchange, listings, step, entry
        self.random = Random(0)  # noqa: S311 - repeatable on purpose, guards nothing
        self._lines = lines
        self._drawn: set[str] | None = None

    def draw(self, random: Random) -> None:
        """Take the source of chance, and draw the websockets where not all are hit."""
        self.random = random
        if self.step.sockets is not None:
            open_now = [line for line in self._lines if self.step.hits_connection(line.speaks, line.path)]
            some = random.sample(open_now, min(self.step.sockets, len(open_now)))
            self._drawn = {line.id for line in some}

    def named(self) -> set[str]:
        """Give the instruments, without a venue, that the step's filters let through in some dialect."""
        listed = self.listings.names()
        return {name.partition(":")[2] for speaks, name in listed if self.step.hits_instrument(speaks, name)}

    def listened(self) -> set[str]:
        """Give the instruments, without a venue, to which somebody listens on the dialects that are hit."""
        lines = [line for line in self._lines if self.step.hits_dialect(line.speaks)]
        return {name.partition(":")[2] for line in lines for name in line.instruments}

    def targets(self) -> list[Line]:
        """Give the open websockets that are hit, and write them down."""
        found = [line for line in self._lines if self.hits(line)]
        for line in found:
            self.entry.hit(line)
        return found

    def hits(self, line: Line) -> bool:
        """Tell whether a websocket is hit."""
        drawn = self._drawn is None or line.id in self._drawn
        return drawn and self.step.hits_connection(line.speaks, line.path)

    def hits_told(self, line: Line, told: Told) -> bool:
        """Tell whether what is told is hit."""
        hit = self.step.hits_channel(told.kind) and self.step.hits_instrument(line.speaks, told.instrument)
        return hit and self.hits(line)

    def instrument(self, name: str) -> Instrument:
        """Give an instrument of the tape by its name."""
        return next(one for one in self.exchange.tape.instruments if one.name == name)

    def redacted(self) -> RedactedTape:
        """Give the tape, from which trades can be taken for ever."""
        tape = self.exchange.tape
        if not isinstance(tape, RedactedTape):
            tape = self.exchange.tape = RedactedTape(tape)
        return tape


class Effect:
    """Do what a fault does while it lasts; it is asked about nothing that its step does not hit."""

    over = False
    """It has done all that it does."""

    def denial(self) -> Response | None:
        """Give the answer to who wants to open a websocket."""
        return None

    @contextmanager
    def hearing(self, line: Line) -> Iterator[None]:
        """Surround the answering of what a client says."""
        yield

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        """Give the trades that websockets tell."""
        return (batch,)

    def told(self, line: Line, told: Told, frames: Frames) -> Frames:
        """Give what is sent now of what is told; ``frames`` are those that other faults have left."""
        return frames

    def frames(self, line: Line, frames: Frames) -> Frames:
        """Give what is sent now in place of any frames."""
        return frames

    async def answer(self, request: Request, response: Response) -> Response:
        """Give what is answered to REST."""
        return response

    def joined(self, line: Line) -> None:
        """Take notice of a websocket that was opened meanwhile."""

    def tick(self, now: float) -> None:
        """Let time pass; ``now`` is a reading of the monotonic clock, in seconds."""

    def finish(self) -> None:
        """Put things right again."""


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Hold a fault's parameters; a subclass names what a step can filter by, and how long it may last."""

    filters: ClassVar[frozenset[Filter]] = frozenset()
    lasting: ClassVar[bool] = True
    """It can last; else it is done when it begins."""
    default: ClassVar[float | None] = None
    """Seconds that it lasts where the step does not say; None: until it is over, or cleared."""

    def begin(self, stage: Stage) -> Effect | None:
        """Do what is done at once, and give what goes on."""
        raise NotImplementedError
