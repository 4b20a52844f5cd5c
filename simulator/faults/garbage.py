"""Faults of frames that nobody can read: garbage, huge ones, and deeply nested ones."""

import re
from random import Random
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from simulator.dialect import Frames
from simulator.faults.fault import SOCKETS, TOPICS, Effect, Fault, Stage
from simulator.framing import Frame
from simulator.interference import Line, Told

Kind = Literal["bytes", "half", "types", "event"]

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_WRONG: tuple[Any, ...] = (None, [], {}, "NaN", True, "1e999")
_UNKNOWN = '{"event":"tidemillUnknown","type":"tidemillUnknown","topic":"unknown","data":[{"unknown":[1,2,3]}]}'


class Garbage(Fault, frozen=True, kw_only=True):
    """Send frames that nobody can read, ``count`` to each websocket, each behind one that is told.

    ``bytes`` at random, ``half`` of a frame's JSON, wrong ``types`` in place of its numbers, or an ``event`` that
    there is not. ``instead``: in place of the frame, which is lost, and with it what it told.
    """

    filters = TOPICS
    default = 10.0

    count: Annotated[int, Meta(ge=1, le=100_000)] = 4
    kinds: Annotated[tuple[Kind, ...], Meta(min_length=1)] = ("bytes", "half", "types", "event")
    instead: bool = False

    def begin(self, stage: Stage) -> Effect:  # noqa: D102 - said above
        return _Garbling(self, stage)


class _Garbling(Effect):
    def __init__(self, fault: Garbage, stage: Stage) -> None:
        self.fault, self.stage = fault, stage
        self.done: dict[str, int] = {}

    def told(self, line: Line, told: Told, frames: Frames) -> Frames:
        fault, sent = self.fault, list[Frame]()
        for frame in frames:
            done = self.done.get(line.id, 0)
            if done >= fault.count:
                sent.append(frame)
                continue
            self.done[line.id] = done + 1
            self.stage.entry.hit(line, 1)
            self.stage.entry.touch(line.speaks, told.instrument, told.trades if fault.instead else (), 1)
            # Each kind in its turn: a few are enough to see all of them.
            garbage = garbled(frame, fault.kinds[done % len(fault.kinds)], self.stage.random)
            sent += [garbage] if fault.instead else [frame, garbage]
        return sent


def garbled(frame: Frame, kind: Kind, random: Random) -> Frame:
    """Give a frame that cannot be read as what it was, nor as anything else."""
    if kind == "bytes":
        return random.randbytes(random.randrange(1, 300))
    if kind == "event":
        return _UNKNOWN if isinstance(frame, str) else _UNKNOWN.encode()
    if kind == "half":
        return frame[: random.randrange(1, max(2, len(frame) - 1))]
    wrong = msgspec.json.encode(_mistyped(msgspec.json.decode(frame), random))
    return wrong.decode() if isinstance(frame, str) else wrong


def _mistyped(value: Any, random: Random) -> Any:
    """Put something else in place of each number, and of each text that is one."""
    if isinstance(value, dict):
        return {name: _mistyped(one, random) for name, one in value.items()}
    if isinstance(value, list):
        return [_mistyped(one, random) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float) or _NUMBER.fullmatch(value):
        return random.choice(_WRONG)
    return value


class HugeFrame(Fault, frozen=True, kw_only=True):
    """Send each open websocket a frame of ``size`` bytes, of valid JSON that says nothing."""

    filters = SOCKETS
    lasting = False

    size: Annotated[int, Meta(ge=100, le=1_000_000_000)] = 32_000_000

    def begin(self, stage: Stage) -> None:  # noqa: D102
        frame = b'{"padding":"%b"}' % (b"x" * (self.size - 14))
        _send(stage, frame.decode())


class DeepNesting(Fault, frozen=True, kw_only=True):
    """Send each open websocket a frame of ``depth`` brackets within each other."""

    filters = SOCKETS
    lasting = False

    depth: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000

    def begin(self, stage: Stage) -> None:  # noqa: D102
        _send(stage, "[" * self.depth + "]" * self.depth)


def _send(stage: Stage, frame: Frame) -> None:
    for line in stage.targets():
        line.write([frame])
        stage.entry.hit(line, 1)
