"""The log of faults: what was done, when, to whom, and which trades it touched."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from core.trades import TradeBatch
from simulator.faults.id_spans import IdSpans
from simulator.interference import Line


class Touched(Struct):
    """Count what was done to an instrument: frames, and the spans of the ids of its trades."""

    frames: int = 0
    ids: IdSpans = field(default_factory=IdSpans)


class Entry(Struct):
    """Write down one fault as it happened.

    ``began`` and ``ended`` (None: it lasts) are times of the tape, ``wall`` is when it began by the machine's clock;
    all µs since the epoch, UTC. ``frames`` were changed, held back or added; ``requests`` were answered otherwise;
    ``denied`` were not let in.
    """

    number: int
    step: int
    fault: str
    began: int
    wall: int
    parameters: dict[str, Any]
    ended: int | None = None
    frames: int = 0
    requests: int = 0
    denied: int = 0
    lines: dict[str, dict[str, str]] = field(default_factory=dict)
    instruments: dict[str, Touched] = field(default_factory=dict)

    def hit(self, line: Line, frames: int = 0) -> None:
        """Write down a websocket that was hit."""
        self.lines.setdefault(line.id, {"dialect": line.speaks, "path": line.path})
        self.frames += frames

    def touch(self, speaks: str, instrument: str, trades: Sequence[TradeBatch] = (), frames: int = 0) -> None:
        """Write down an instrument of a dialect that was hit, and its trades; named as a recorder does."""
        name = f"{speaks.partition('-')[0]}:{instrument.rpartition(':')[2]}"
        touched = self.instruments.setdefault(name, Touched())
        touched.frames += frames
        for batch in trades:
            touched.ids.add(batch.ids)

    def told(self) -> dict[str, Any]:
        """Give the entry as JSON has it."""
        return {
            "number": self.number,
            "step": self.step,
            "fault": self.fault,
            "began": self.began,
            "ended": self.ended,
            "wall": self.wall,
            "parameters": self.parameters,
            "frames": self.frames,
            "requests": self.requests,
            "denied": self.denied,
            "connections": [{"id": name, **about} for name, about in self.lines.items()],
            "instruments": {
                name: {"frames": one.frames, "ids": one.ids.spans} for name, one in self.instruments.items()
            },
        }
