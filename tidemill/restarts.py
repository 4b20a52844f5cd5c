"""Restarts: how long a process that ended waits before it is started again, and when that is a crash loop."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 30.0
SETTLED_SECONDS = 30.0
"""Who has run for this long begins anew with the shortest wait."""

LOOP_ENDS = 5
LOOP_SECONDS = 60.0


@dataclass(slots=True)
class Restarts:
    """Decide about one process; all times are seconds of a monotonic clock.

    The wait doubles with each end, half of it by chance, so that processes which fell together do not rise
    together. Five ends within a minute are a crash loop; it is over when the process has settled, not when the
    growing wait makes the ends rarer. ``chance`` gives numbers in [0, 1).

    Example:
        >>> restarts = Restarts(chance=lambda: 1.0)
        >>> [restarts.ended(at, ran=0.0) for at in (0.0, 1.0, 2.0)]
        [0.2, 0.4, 0.8]
    """

    chance: Callable[[], float] = random.random
    _in_row: int = 0
    _ends: deque[float] = field(default_factory=lambda: deque(maxlen=LOOP_ENDS))
    _looping: bool = False

    def ended(self, now: float, ran: float) -> float:
        """Take an end after ``ran`` seconds; give the seconds to wait."""
        if ran >= SETTLED_SECONDS:
            self._in_row, self._looping = 0, False
            self._ends.clear()
        self._ends.append(now)
        self._looping |= len(self._ends) == LOOP_ENDS and now - self._ends[0] <= LOOP_SECONDS
        # Beyond 16 doublings the longest wait is reached, whatever the numbers.
        whole = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self._in_row, 16))
        self._in_row += 1
        return whole / 2 + whole / 2 * self.chance()

    def looping(self, running: float) -> bool:
        """Tell whether this is a crash loop; ``running`` is for how long the process has run (0: it does not)."""
        return self._looping and running < SETTLED_SECONDS
