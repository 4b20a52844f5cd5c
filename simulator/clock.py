"""The market's clock: it runs at any speed, stands still, and is set to other times."""

import math
import time
from collections.abc import Callable

from core.errors import UserError
from core.timeframes import SECOND


class MarketClock:
    """Tell what time it is in the market; all times are int µs since the epoch, UTC.

    ``start`` is the tape's time at which the clock begins, at once; ``speed`` is how many seconds of the market
    pass in one second; ``shift`` is added to the tape's time to give the time that clients are shown. The clock
    is driven by ``monotonic`` (seconds), never by the machine's date, so it does not step when that does. While
    it is not sought it never goes back. Raises `UserError` for a speed that is none.

    Example:
        >>> clock = MarketClock(start=1_736_121_600_000_000, shift=5, monotonic=lambda: 0.0)
        >>> clock.now(), clock.venue(clock.now())
        (1736121600000000, 1736121600000005)
    """

    def __init__(
        self,
        speed: float = 1.0,
        start: int = 0,
        shift: int = 0,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shift = shift
        self._monotonic = monotonic
        self._speed = _checked(speed)
        self._paused = False
        self._begin, self._at = monotonic(), start

    @property
    def paused(self) -> bool:
        """Tell whether the clock stands still."""
        return self._paused

    @property
    def speed(self) -> float:
        """Give how many seconds of the market pass in one; setting it changes nothing about the present time."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        speed = _checked(speed)
        self._hold()
        self._speed = speed

    def now(self) -> int:
        """Give the tape's time."""
        return self._at if self._paused else self._tape(self._monotonic())

    def wall(self, tape_time: int) -> float:
        """Give the reading of the monotonic clock, in seconds, at which it will be (or was) ``tape_time``.

        Infinite while the clock is paused and that time has not come.
        """
        if self._paused:
            return math.inf if tape_time > self._at else self._begin
        return self._begin + (tape_time - self._at) / (SECOND * self._speed)

    def venue(self, tape_time: int) -> int:
        """Give the time that clients are shown for a time of the tape."""
        return tape_time + self.shift

    def tape(self, venue_time: int) -> int:
        """Give the time of the tape for one that a client names."""
        return venue_time - self.shift

    def pause(self) -> None:
        """Stand still; again is once."""
        self._hold()
        self._paused = True

    def resume(self) -> None:
        """Go on from where the clock stands; again is once."""
        self._hold()
        self._paused = False

    def seek(self, tape_time: int) -> None:
        """Set the clock to another time of the tape; paused or not it stays as it is."""
        self._begin, self._at = self._monotonic(), tape_time

    def _hold(self) -> None:
        """Begin anew at the present time, read once: so that nothing is lost or gained."""
        reading = self._monotonic()
        self._at = self._at if self._paused else self._tape(reading)
        self._begin = reading

    def _tape(self, reading: float) -> int:
        return self._at + int((reading - self._begin) * SECOND * self._speed)


def _checked(speed: float) -> float:
    if not (math.isfinite(speed) and speed > 0):
        raise UserError(f"a speed of {speed} is none: write a number above 0, for example 1 or 60")
    return float(speed)
