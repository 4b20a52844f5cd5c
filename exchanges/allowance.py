"""How much may be sent in a window of time."""

from collections import deque


class Allowance:
    """Count what was taken, so that no window of ``seconds`` ever holds more than ``amount``; without a clock.

    Times are seconds of one monotonic clock and never go back.
    """

    def __init__(self, amount: int, seconds: float) -> None:
        self._amount = amount
        self._seconds = seconds
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def wait(self, amount: int, now: float) -> float:
        """Give in how many seconds ``amount`` may be taken, 0 for at once; more than all counts as all."""
        self._forget(now)
        excess = self._sum + min(amount, self._amount) - self._amount
        due = now
        for at, part in self._taken:
            if excess <= 0:
                break
            excess -= part
            due = at + self._seconds
        return due - now

    def take(self, amount: int, now: float) -> None:
        """Take it, whether it was to be had or not."""
        self._taken.append((now, min(amount, self._amount)))
        self._sum += self._taken[-1][1]

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] + self._seconds <= now:
            self._sum -= self._taken.popleft()[1]
