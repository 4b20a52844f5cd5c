"""The recorder's clock: the machine's, except that it never steps back."""

import time
from collections.abc import Callable
from typing import NamedTuple

import structlog

_log = structlog.get_logger(__name__)

TOLERANCE = 100_000
"""A step back of less (µs) is how clocks are kept right; nobody is told."""


class Behind(NamedTuple):
    """Say that the machine's clock shows ``wall`` where ours has reached ``ours``; µs since the epoch, UTC."""

    wall: int
    ours: int


def wall_clock() -> int:
    """Give the machine's time in µs since the epoch, UTC."""
    return time.time_ns() // 1000


def monotonic_clock() -> int:
    """Give µs since some moment, never less than before."""
    return time.monotonic_ns() // 1000


class SteadyClock:
    """Follow the machine's clock forwards; where it steps back, go on by the time that really passes.

    ``floor`` is the time (µs, UTC) that was told last, by this process or by one before it. Not to be shared
    between threads.
    """

    def __init__(
        self,
        floor: int = 0,
        *,
        wall: Callable[[], int] = wall_clock,
        monotonic: Callable[[], int] = monotonic_clock,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._last = floor
        self._left: tuple[int, int] | None = None
        self.behind: Behind | None = None

    def wall(self) -> int:
        """Give what the machine's clock shows, µs since the epoch, UTC; it may step back."""
        return self._wall()

    def now(self) -> int:
        """Give the time in µs since the epoch, UTC; never less than before."""
        wall = self._wall()
        if wall >= self._last:
            self._last = wall
            if self._left is not None:
                self._left = self.behind = None
            return wall
        if self._last - wall <= TOLERANCE and self._left is None:
            return self._last
        return self._go_on(wall)

    def _go_on(self, wall: int) -> int:
        passed = self._monotonic()
        if self._left is None:
            self._left = (self._last, passed)
            _log.warning("clock_stepped_back", wall=wall, ours=self._last)
        began, at = self._left
        self._last = max(self._last, began + passed - at)
        self.behind = Behind(wall, self._last)
        return self._last
