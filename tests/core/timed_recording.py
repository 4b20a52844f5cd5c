"""A recorder of a venue whose ids prove nothing, as its tests drive it."""

from dataclasses import dataclass, field

import numpy as np

from core import continuity_in_time
from core.continued import Continued
from core.continuity_in_time import SPACE, ContinuityInTime
from core.gaps import Gap
from core.records import Mark, Reread
from core.trades import TradeBatch

NAME, START, LATENESS = "bybit:BTC-USDT-PERP", 1_767_225_600_000_000, 500_000


def batch(numbers: list[int], price: float = 10.0) -> TradeBatch:
    """Give trades by number: trade n has an id that proves nothing, at n tenths of a second."""
    n = np.array(numbers, np.int64)
    ids = (n * 7919) % 1_000_003 + 1
    ts = START + n * 100_000
    ones = np.ones(len(n))
    return TradeBatch(
        NAME, SPACE, ids, ts, ts, ones * price, ones, np.ones(len(n), np.int8), np.ones(len(n), np.int32), n
    )


def at(number: int) -> int:
    return START + number * 100_000


@dataclass
class Recording:
    """Follow a venue's trades 0, 1, 2, … the way a recorder would, and keep all that the fold told."""

    state: ContinuityInTime = field(default_factory=lambda: ContinuityInTime(NAME, LATENESS))
    taken: list[int] = field(default_factory=list)
    gaps: dict[tuple[int, int], Gap] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    def hear(self, numbers: list[int], live: bool = True) -> Continued:
        self.state, found = continuity_in_time.follow(self.state, batch(numbers), live=live)
        return self._note(found)

    def mark(self, name: str, cause: str = "") -> Continued:
        self.state, found = continuity_in_time.mark(self.state, Mark(name, "c", cause))  # type: ignore[arg-type]
        return self._note(found)

    def reread(self, first: int, last: int, outcome: str = "closed") -> Continued:
        told = Reread(NAME, SPACE, first, last, outcome)  # type: ignore[arg-type]
        self.state, found = continuity_in_time.reread(self.state, told)
        return self._note(found)

    def pass_time(self, number: int) -> Continued:
        self.state, found = continuity_in_time.pass_time(self.state, at(number))
        return self._note(found)

    def _note(self, found: Continued) -> Continued:
        for run in found.runs:
            self.taken += run.trades.offset.tolist()
        for gap in found.gaps:
            before = self.gaps.get((gap.first_id, gap.last_id))
            assert before is None or gap.missing <= before.missing
            self.gaps[gap.first_id, gap.last_id] = gap
        return found


def proves(state: ContinuityInTime, first: int, last: int) -> bool:
    return any(r.first_ts <= at(first) and r.last_ts >= at(last) for r in state.proven)
