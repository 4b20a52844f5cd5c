"""The engine of faults: plays a scenario upon all that the exchange sends, and writes down what it did."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from core.trades import TradeBatch
from simulator.dialect import Dialect, Frames
from simulator.exchange import SimulatedExchange
from simulator.faults.asked_dialect import AskedDialect
from simulator.faults.entry import Entry
from simulator.faults.fault import Effect, Stage
from simulator.faults.listings import Listings
from simulator.faults.reach import refuse_unlisted
from simulator.faults.redacted_tape import RedactedTape
from simulator.faults.scenario import Happening, Scenario
from simulator.interference import Line, Told

_LOOK = 0.02
"""Seconds between two looks at what is due."""
_ENTRIES = 2000
"""What was done is remembered so far; what is older is only counted."""


@dataclass(slots=True)
class _Due:
    """One step of the scenario that is being played: when it begins next."""

    number: int
    happening: Happening
    moments: Iterator[float]
    next: float | None
    times: int = 0


@dataclass(slots=True)
class _Going:
    """A fault that lasts until the monotonic clock reads ``until`` (None: until it is over)."""

    stage: Stage
    effect: Effect
    until: float | None


class FaultEngine:
    """Break the exchange as a scenario says; a `simulator.interference.Interference`.

    All of it happens in the server's own thread: that of the event loop. Raises `UnknownName` for a scenario with an
    instrument or a path of REST that there is not.
    """

    def __init__(
        self,
        exchange: SimulatedExchange,
        dialects: Sequence[Dialect],
        scenario: Scenario | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exchange, self.scenario = exchange, scenario
        self.lines: dict[str, Line] = {}
        self.counts: Counter[str] = Counter()
        """How often each fault has happened."""
        self.entries: deque[Entry] = deque(maxlen=_ENTRIES)
        self._listings = Listings(exchange, dialects)
        self._asked = AskedDialect(dialects)
        self._dialects = dialects
        self._refuse_unlisted(scenario)
        self._monotonic = monotonic
        self._begun: float | None = None
        self._due: list[_Due] = _schedule(scenario)
        self._going: list[_Going] = []

    @property
    def active(self) -> bool:
        """Tell whether a fault lasts."""
        return bool(self._going)

    def play(self, scenario: Scenario) -> None:
        """End the scenario that there is, and begin another; raise `UnknownName` for one that reaches nothing."""
        self._refuse_unlisted(scenario)
        self.clear()
        self.scenario, self._due = scenario, _schedule(scenario)
        self.look()

    def clear(self) -> None:
        """End all faults; trades that REST does not serve stay so."""
        for going in self._going:
            self._end(going)
        self.scenario, self._begun = None, None
        self._due, self._going = [], []

    def look(self) -> None:
        """Begin and end what is due."""
        now = self._monotonic()
        if self._begun is None and self.scenario is not None:
            waits = self.scenario.begins == "subscribed" and not self.exchange.figures.listening
            self._begun = None if waits else now
        for going in self._going:
            going.effect.tick(now)
        over = [one for one in self._going if one.effect.over or (one.until is not None and now >= one.until)]
        for going in over:
            self._going.remove(going)
            self._end(going)
        if self._begun is not None:
            self._begin_due(self._begun, now)

    async def run(self) -> None:
        """Follow the clock until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK)

    def joined(self, line: Line) -> None:
        """Take notice of a websocket that is open now."""
        self.lines[line.id] = line
        for going in self._going:
            if going.stage.hits(line):
                going.effect.joined(line)

    def left(self, line: Line) -> None:
        """Take notice that it is open no more."""
        self.lines.pop(line.id, None)

    def denial(self, speaks: str, path: str) -> Response | None:
        """Give the answer to who wants to open a websocket; None lets it in."""
        for going in self._going:
            if going.stage.step.hits_connection(speaks, path) and (denial := going.effect.denial()) is not None:
                return denial
        return None

    def hearing(self, line: Line) -> AbstractContextManager[None]:
        """Surround the answering of what a client says."""
        return self._hearing(line) if self._going else nullcontext()

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        """Give the trades that a dialect's websockets tell, to all clients."""
        batches: Sequence[TradeBatch] = (batch,)
        for going in self._going:
            if going.stage.step.hits_instrument(speaks, batch.instrument):
                batches = [part for one in batches for part in going.effect.trades(speaks, one) if len(part)]
        return batches

    def told(self, line: Line, told: Told) -> Frames:
        """Give what is sent now to one client of what is told on a topic."""
        frames = told.frames
        for going in self._going:
            if frames and going.stage.hits_told(line, told):
                frames = going.effect.told(line, told, frames)
        return frames

    def frames(self, line: Line, frames: Frames) -> Frames:
        """Give what is sent now in place of frames of any kind."""
        for going in self._going:
            if frames and going.stage.hits(line):
                frames = going.effect.frames(line, frames)
        return frames

    async def answer(self, request: Request, response: Response) -> Response:
        """Give what is answered in place of a response to REST."""
        path = request.url.path
        speaks = self._asked.of(path)
        for going in list(self._going):
            if going.stage.step.hits_path(speaks, path):
                response = await going.effect.answer(request, response)
        return response

    def state(self) -> dict[str, Any]:
        """Say in short what is played and what lasts."""
        return {
            "scenario": None if self.scenario is None else self.scenario.name,
            "begun": self._begun is not None,
            "active": [one.stage.entry.fault for one in self._going],
            "counts": dict(self.counts),
        }

    def told_all(self) -> dict[str, Any]:
        """Say all that was done since the start, and which trades REST will never serve, by instrument."""
        scenario, tape = self.scenario, self.exchange.tape
        hidden = tape.hidden if isinstance(tape, RedactedTape) else {}
        names = {one.native: one.name.partition(":")[2] for one in tape.instruments}
        about = scenario and {"name": scenario.name, "description": scenario.description, "seed": scenario.seed}
        return self.state() | {
            "scenario": about,
            "steps_left": sum(due.next is not None for due in self._due),
            "entries": [one.told() for one in self.entries],
            "never_served": {names[native]: ids.spans for native, ids in hidden.items()},
        }

    @contextmanager
    def _hearing(self, line: Line) -> Iterator[None]:
        with ExitStack() as stack:
            for going in self._going:
                if going.stage.hits(line):
                    stack.enter_context(going.effect.hearing(line))
            yield

    def _refuse_unlisted(self, scenario: Scenario | None) -> None:
        for number, one in enumerate(scenario.happenings if scenario else (), 1):
            refuse_unlisted(number, one.step, self._listings.names(), self._dialects)

    def _begin_due(self, begun: float, now: float) -> None:
        for due in self._due:
            while due.next is not None and begun + due.next <= now:
                self._begin(due, begun + due.next)
                due.next = next(due.moments, None)

    def _begin(self, due: _Due, moment: float) -> None:
        happening, scenario = due.happening, self.scenario
        due.times += 1
        name = happening.step.fault
        self.counts[name] += 1
        entry = Entry(
            self.counts.total(), due.number, name, self.exchange.now(), time.time_ns() // 1000, dict(happening.given)
        )
        self.entries.append(entry)
        stage = Stage(self.exchange, self._listings, self.lines.values(), happening.step, entry)
        stage.draw(_random(f"{scenario.seed if scenario else 0} {due.number} {due.times}"))
        effect = happening.fault.begin(stage)
        if effect is None:
            entry.ended = entry.began
            return
        lasts = happening.lasts
        self._going.append(_Going(stage, effect, None if lasts is None else moment + lasts))

    def _end(self, going: _Going) -> None:
        going.effect.finish()
        going.stage.entry.ended = self.exchange.now()


def _schedule(scenario: Scenario | None) -> list[_Due]:
    due = []
    for number, one in enumerate(scenario.happenings if scenario else (), 1):
        # What nothing ends is not begun a second time.
        lasts = (one.lasts or float("inf")) if one.fault.lasting else 0.0
        moments = one.step.moments(_random(f"{scenario.seed if scenario else 0} {number}"), lasts)
        due.append(_Due(number, one, moments, next(moments, None)))
    return due


def _random(key: str) -> Random:
    return Random(key)  # noqa: S311 - repeatable on purpose, guards nothing
