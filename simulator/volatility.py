"""Volatility: quiet and busy hours of the day, and volatility that stays where it is for a while."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.timeframes import DAY, HOUR


@dataclass(frozen=True, slots=True)
class Wave:
    """Describe one part of log volatility: a first-order autoregression around 0.

    ``half_life`` in seconds, ``deviation`` the stationary standard deviation.
    """

    half_life: float
    deviation: float

    def first(self, rng: np.random.Generator) -> float:
        """Draw a value from the stationary distribution."""
        return self.deviation * float(rng.standard_normal())

    def follow(self, rng: np.random.Generator, last: float, seconds: int) -> NDArray[np.float64]:
        """Draw the next values, one a second, float64[seconds]; ``last`` is the value before them."""
        keep = 0.5 ** (1.0 / self.half_life)
        shocks = rng.standard_normal(seconds) * (self.deviation * math.sqrt(1.0 - keep * keep))
        # last * keep^i + sum of keep^(i - j) * shock_j, without a loop; the powers stay small in a block.
        powers = keep ** np.arange(1, seconds + 1)
        values: NDArray[np.float64] = powers * (last + np.cumsum(shocks / powers))
        return values


COMMON = (Wave(45 * 60.0, 0.40), Wave(90.0, 0.25))
"""Waves that all instruments share."""

OWN = Wave(10 * 60.0, 0.30)
"""The wave that each instrument has for itself."""

VARIANCE = sum(wave.deviation**2 for wave in (*COMMON, OWN))
"""Variance of log volatility: half of it taken off, mean volatility is what the listing says."""


def season(ts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give how busy the market usually is at a time, 1 on an average weekday.

    ``ts`` int64[n], µs since the epoch, UTC. Busiest at about 15:00 (both sides of the Atlantic at work),
    quietest before dawn in Europe; weekends at 70 %.
    """
    hour = (ts % DAY) / HOUR
    turn = 2.0 * math.pi / 24.0
    day = 1.0 + 0.40 * np.cos((hour - 15.0) * turn) + 0.12 * np.cos((hour - 14.5) * 2.0 * turn)
    # The epoch was a Thursday: days 2 and 3 after it were a Saturday and a Sunday.
    weekend = (ts // DAY) % 7
    return np.where((weekend == 2) | (weekend == 3), 0.7 * day, day)
