"""A clock that goes on from process to process and through restarts of the machine, never faster than time does."""

import time

import msgspec


class Instant(msgspec.Struct, frozen=True):
    """Hold what three clocks show at one moment, in µs.

    ``told`` is ours: it never goes back. ``wall`` is the machine's clock (since the epoch, UTC), which people and
    services set; ``passing`` is the one that nobody sets, and that begins anew when the machine starts.
    """

    told: int
    wall: int
    passing: int


def after(last: Instant | None, wall: int, passing: int) -> Instant:
    """Give the moment at which the other two clocks show this; without a last one ours begins with the machine's.

    Ours goes on by the smaller of what the two went on, and stands still where one went back: what was to be waited
    for is waited for in full, whether the clock was set (the other one then limits it) or the machine was started
    anew (then only the machine's clock has gone on).

    Example:
        >>> after(Instant(100, 100, 7), wall=3_700, passing=17).told
        110
        >>> after(Instant(100, 100, 7), wall=160, passing=2).told
        160
    """
    if last is None:
        return Instant(wall, wall, passing)
    passed = wall - last.wall
    if passing >= last.passing:
        passed = min(passed, passing - last.passing)
    return Instant(last.told + max(0, passed), wall, passing)


def wall_clock() -> int:
    """Give the machine's time in µs since the epoch, UTC."""
    return time.time_ns() // 1000


def passing_clock() -> int:
    """Give µs since the machine was started; the same for all of its processes, its sleep counted where it can be."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000
