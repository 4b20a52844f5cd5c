"""When the next attempt to connect may be made."""

import asyncio
import random
from collections.abc import Callable

from exchanges.allowance import Allowance
from exchanges.venue import Limits

_MARGIN = 1.05
"""We count when an attempt begins, the venue when it arrives: a window of ours is this much longer."""


class Attempts:
    """Share one address's budget of attempts to connect, with a capped back-off of full jitter.

    All links to one address take the same one. ``base`` and ``cap`` are seconds; ``draw`` gives a number
    between its two arguments.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        base: float = 0.5,
        cap: float = 30.0,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._allowance = Allowance(limits.attempts, limits.attempts_per * _MARGIN)
        self._base = base
        self._cap = cap
        self._draw = draw
        self._held_until = 0.0
        self._turn = asyncio.Lock()

    def delay(self, failures: int) -> float:
        """Draw the seconds to wait after so many failures in a row: between 0 and base · 2^(failures - 1), capped."""
        if failures < 1:
            return 0.0
        return self._draw(0.0, min(self._cap, self._base * 2.0 ** min(failures - 1, 60)))

    def hold(self, seconds: float) -> None:
        """Let nobody try for so long: the venue has said so."""
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)

    async def permission(self, failures: int) -> None:
        """Wait until an attempt may be made after so many failures in a row, and count it."""
        await asyncio.sleep(self.delay(failures))
        clock = asyncio.get_running_loop().time
        async with self._turn:
            while (pause := max(self._allowance.wait(1, clock()), self._held_until - clock())) > 0:
                await asyncio.sleep(pause)
            self._allowance.take(1, clock())
