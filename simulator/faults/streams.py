"""Faults of what streams tell: nothing, twice, or in the wrong order."""

import time
from typing import Annotated

from msgspec import Meta

from simulator.dialect import Frames
from simulator.faults.fault import TOPICS, Effect, Fault, Stage
from simulator.framing import Frame
from simulator.interference import Line, Told


class Silence(Fault, frozen=True, kw_only=True):
    """Acknowledge and go on with heartbeats, but tell nothing, on new websockets neither."""

    filters = TOPICS

    def begin(self, stage: Stage) -> Effect:  # noqa: D102 - said above
        return _Silent(stage)


class _Silent(Effect):
    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def told(self, line: Line, told: Told, frames: Frames) -> Frames:
        _note(self.stage, line, told, len(frames))
        return ()


class Duplicate(Fault, frozen=True, kw_only=True):
    """Tell frames again, ``after`` so many seconds: ``count`` of each websocket, or all while it lasts (``for``)."""

    filters = TOPICS
    default = 10.0

    count: Annotated[int, Meta(ge=1)] | None = None
    after: Annotated[float, Meta(ge=0, le=600)] = 0.0

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        every = self.count is None and stage.step.lasts is not None
        return _Doubling(stage, None if every else self.count or 10, self.after)


class _Doubling(Effect):
    def __init__(self, stage: Stage, count: int | None, after: float) -> None:
        self.stage, self.count, self.after = stage, count, after
        self.done: dict[str, int] = {}
        self.waiting: list[tuple[float, Line, list[Frame]]] = []

    def told(self, line: Line, told: Told, frames: Frames) -> Frames:
        done = self.done.get(line.id, 0)
        some = list(frames if self.count is None else frames[: max(0, self.count - done)])
        if not some:
            return frames
        self.done[line.id] = done + len(some)
        _note(self.stage, line, told, len(some))
        if not self.after:
            # At once means behind the frame itself.
            return [one for frame in some for one in (frame, frame)] + list(frames[len(some) :])
        self.waiting.append((time.monotonic() + self.after, line, some))
        return frames

    def tick(self, now: float) -> None:
        due = [one for one in self.waiting if one[0] <= now]
        self.waiting = [one for one in self.waiting if one[0] > now]
        for _, line, frames in due:
            line.write(frames)

    def finish(self) -> None:
        for _, line, frames in self.waiting:
            line.write(frames)


class Reorder(Fault, frozen=True, kw_only=True):
    """Hold frames back until ``within`` of a websocket wait, but ``hold`` seconds at most, and shuffle them."""

    filters = TOPICS
    default = 10.0

    within: Annotated[int, Meta(ge=2, le=10_000)] = 5
    hold: Annotated[float, Meta(gt=0, le=60)] = 0.5

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Shuffling(stage, self.within, self.hold)


class _Shuffling(Effect):
    def __init__(self, stage: Stage, within: int, hold: float) -> None:
        self.stage, self.within, self.hold = stage, within, hold
        self.held: dict[str, tuple[float, Line, list[Frame]]] = {}

    def told(self, line: Line, told: Told, frames: Frames) -> Frames:
        _note(self.stage, line, told, len(frames))
        held = self.held.setdefault(line.id, (time.monotonic() + self.hold, line, []))[2]
        held += frames
        ready: list[Frame] = []
        while len(held) >= self.within:
            ready += self._shuffled(held[: self.within])
            del held[: self.within]
        if ready:
            self.held[line.id] = (time.monotonic() + self.hold, line, held)
        return ready

    def tick(self, now: float) -> None:
        for name, (due, line, frames) in list(self.held.items()):
            if now >= due:
                del self.held[name]
                line.write(self._shuffled(frames))

    def finish(self) -> None:
        for _, line, frames in self.held.values():
            line.write(self._shuffled(frames))

    def _shuffled(self, frames: list[Frame]) -> list[Frame]:
        return self.stage.random.sample(frames, len(frames))


def _note(stage: Stage, line: Line, told: Told, frames: int) -> None:
    stage.entry.hit(line, frames)
    stage.entry.touch(line.speaks, told.instrument, told.trades, frames)
