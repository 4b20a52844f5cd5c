"""Trade ids that tell trades apart and prove nothing: they grow with the tape's ids, but do not count."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SCATTER = 40_503
"""Odd and near the golden ratio of 2**16: neighbours land far from each other (Knuth, multiplicative hashing)."""


@dataclass(frozen=True, slots=True)
class ScatteredIds:
    """Show each id of a tape as another one, always the same, from ``base`` on and about ``step`` apart.

    ``step`` is a power of two. Ids of the tape lie in [0, 2**42), so that nothing overflows an int64.

    Example:
        >>> shown = ScatteredIds(10**18, 2**20).shown(np.array([7, 8]))
        >>> bool(shown[0] < shown[1]), ScatteredIds(10**18, 2**20).hidden(int(shown[1]))
        (True, 8)
    """

    base: int
    step: int

    def shown(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the ids as clients see them, int64[n], in the same order."""
        scattered: NDArray[np.int64] = self.base + ids * self.step + ids * _SCATTER % self.step
        return scattered

    def hidden(self, shown: int) -> int:
        """Give the smallest id of the tape that clients see as ``shown`` or as more."""
        if shown <= self.base:
            return 0
        number = (shown - self.base) // self.step
        return number if self.shown(np.array([number]))[0] >= shown else number + 1
