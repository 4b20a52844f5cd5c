"""Disturbance: what goes wrong between a venue and its listener, by a seed, and the truth about it."""

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from random import Random

from core.errors import UserError
from simulator.wire import Frame


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Say how often each thing goes wrong; all chances are per trade, at most one of the first four hits it.

    ``hole``: the trade and those after it of its instrument, ``hole_length`` on average, never arrive.
    ``duplicate``: it arrives twice, the second time within ``window``. ``reorder``: it is delayed by up to
    ``window``. ``late``: it is delayed by one to four windows. ``garbage``: a frame that nobody can read
    comes after it. Delays and ``window`` are in µs of event time. Raise `UserError` where that is no chance.
    """

    seed: int = 0
    hole: float = 0.0
    hole_length: float = 3.0
    duplicate: float = 0.0
    reorder: float = 0.0
    late: float = 0.0
    garbage: float = 0.0
    window: int = 500_000

    def __post_init__(self) -> None:
        chances = (self.hole, self.duplicate, self.reorder, self.late)
        if not all(0 <= chance <= 1 for chance in (*chances, self.garbage, math.fsum(chances))):
            raise UserError("a disturbance's chances lie in [0, 1], and so does the sum of the first four")
        if self.window <= 0 or not 1 <= self.hole_length < math.inf:
            raise UserError("a disturbance needs a window above 0 and a hole length of at least 1")


NOTHING = Disturbance()


@dataclass(slots=True)
class Truth:
    """Hold what was done, as (instrument, trade id), while a disturbed stream is consumed.

    ``dropped`` never arrived; ``duplicated`` arrived twice. ``late`` first arrived when the instrument's
    largest event time was more than the window ahead; ``reordered`` arrived, not late, after a larger id of
    its instrument. A delayed trade that nothing overtook is in neither. ``garbage`` holds the unreadable
    frames in order.
    """

    dropped: set[tuple[str, int]] = field(default_factory=set)
    duplicated: set[tuple[str, int]] = field(default_factory=set)
    reordered: set[tuple[str, int]] = field(default_factory=set)
    late: set[tuple[str, int]] = field(default_factory=set)
    garbage: list[bytes] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))


def disturb(rows: Iterable[Frame], by: Disturbance, truth: Truth) -> Iterator[Frame]:
    """Yield the frames as they arrive, in the order of receipt, and write down in ``truth`` what was done.

    ``rows`` are in the order of event time. Memory is bounded by the frames of four windows.
    """
    return _Stream(by, truth).run(rows)


class _Stream:
    def __init__(self, by: Disturbance, truth: Truth) -> None:
        self.by = by
        self.truth = truth
        self.random = Random(by.seed)  # noqa: S311 - repeatable on purpose, guards nothing
        self.delayed: list[tuple[int, int, bool, Frame]] = []
        self.missing: dict[str, int] = defaultdict(int)
        self.newest: dict[str, tuple[int, int]] = {}
        self.received = 0
        self.pushed = 0

    def run(self, rows: Iterable[Frame]) -> Iterator[Frame]:
        for frame in rows:
            while self.delayed and self.delayed[0][0] < frame.ts:
                yield self._release()
            if self._passes(frame):
                ts, trade_id = self.newest.get(frame.instrument, (0, -1))
                self.newest[frame.instrument] = max(ts, frame.ts), max(trade_id, frame.trade_id)
                yield self._arrive(frame)
            if self.random.random() < self.by.garbage:
                yield self._garbage(frame)
        while self.delayed:
            yield self._release()

    def _passes(self, frame: Frame) -> bool:
        """Decide a frame's fate; say whether it arrives now."""
        by, key = self.by, (frame.instrument, frame.trade_id)
        luck, extent = self.random.random(), self.random.random()
        if not self.missing[frame.instrument] and luck < by.hole:
            self.missing[frame.instrument] = self._hole(extent)
        if self.missing[frame.instrument]:
            self.missing[frame.instrument] -= 1
            self.truth.dropped.add(key)
            return False
        luck -= by.hole
        if luck < by.duplicate:
            self.truth.duplicated.add(key)
            self._delay(frame, int(extent * by.window), again=True)
            return True
        luck -= by.duplicate
        if luck < by.reorder:
            self._delay(frame, int(extent * by.window))
            return False
        luck -= by.reorder
        if luck < by.late:
            self._delay(frame, int((1 + 3 * extent) * by.window) + 1)
            return False
        return True

    def _hole(self, extent: float) -> int:
        """Draw a length from the geometric distribution with the mean asked for."""
        if self.by.hole_length == 1:
            return 1
        return 1 + int(math.log1p(-extent) / math.log1p(-1 / self.by.hole_length))

    def _delay(self, frame: Frame, by: int, *, again: bool = False) -> None:
        # The running number keeps the order of arrival among equals, and frames out of the comparison.
        self.pushed += 1
        heapq.heappush(self.delayed, (frame.ts + by, self.pushed, again, frame))

    def _release(self) -> Frame:
        _, _, again, frame = heapq.heappop(self.delayed)
        ts, trade_id = self.newest.get(frame.instrument, (0, -1))
        if not again and ts - frame.ts > self.by.window:
            self.truth.late.add((frame.instrument, frame.trade_id))
        elif not again and trade_id > frame.trade_id:
            self.truth.reordered.add((frame.instrument, frame.trade_id))
        self.newest[frame.instrument] = max(ts, frame.ts), max(trade_id, frame.trade_id)
        return self._arrive(frame)

    def _arrive(self, frame: Frame) -> Frame:
        self.received = max(self.received, frame.received)
        return frame if frame.received == self.received else replace(frame, received=self.received)

    def _garbage(self, frame: Frame) -> Frame:
        payload = self.random.choice(_GARBAGE)(frame.payload, self.random)
        self.truth.garbage.append(payload)
        return self._arrive(Frame(frame.received, payload, frame.instrument, -1, frame.ts))


def _garble(old: bytes, new: bytes) -> Callable[[bytes, Random], bytes]:
    return lambda payload, _: payload.replace(old, new)


_GARBAGE: tuple[Callable[[bytes, Random], bytes], ...] = (
    lambda payload, random: payload[: random.randrange(1, len(payload))],
    lambda payload, _: b"\xff\xfe" + payload[2:],
    lambda _payload, _random: b"[]",
    _garble(b'"p":"', b'"p":"NaN'),
    _garble(b'"q":"', b'"z":"'),
    _garble(b'"t":', b'"t":0.5'),
)
