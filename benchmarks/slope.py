"""The slope of a series, and how sure it is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Slope:
    """Hold a slope and its standard error, in units of y by units of x; ``level`` is the mean of y."""

    value: float
    error: float
    level: float

    def rises(self, by: float) -> bool:
        """Say whether it surely (two standard errors) rises, and by more than ``by``."""
        return self.value - 2 * self.error > 0 and self.value > by


def slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """Fit a line by least squares to at least 3 points.

    Samples of a process follow each other: where the residuals are correlated (by r from one to the next), n of them
    tell as much as n (1 - r) / (1 + r), and the error is that much larger.
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    centred = a - a.mean()
    square = float(centred @ centred)
    value = float(centred @ (b - b.mean())) / square
    left = b - b.mean() - value * centred
    variance = float(left @ left)
    if variance == 0.0:
        return Slope(value, 0.0, float(b.mean()))
    r = min(max(float(left[1:] @ left[:-1]) / variance, 0.0), 0.99)
    free = max(len(a) * (1 - r) / (1 + r) - 2, 1.0)
    return Slope(value, math.sqrt(variance / free / square), float(b.mean()))
