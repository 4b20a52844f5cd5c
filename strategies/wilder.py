"""Wilder's relative strength index, one value at a time.

Welles Wilder, "New Concepts in Technical Trading Systems" (1978), in TA-Lib's reading: the first average is
the mean of the first ``length`` changes, then ``average = (average * (length - 1) + change) / length``.
Values agree with ``talib.RSI`` to 1e-9, and with themselves to the last bit however they are batched.
"""

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

_NOTHING = 1e-14
"""Below this sum of averages TA-Lib takes the price as unmoved (``TA_EPSILON``, in units of price)."""


class RsiState(NamedTuple):
    """Hold the state of one RSI.

    ``seen`` counts values, at most ``length + 1``; ``gain`` and ``loss`` are sums of changes until then,
    Wilder's averages afterwards, both in units of price and not negative.
    """

    length: int
    seen: int
    previous: float
    gain: float
    loss: float


def rsi_start(length: int) -> RsiState:
    """Give the state before the first value."""
    return RsiState(length, 0, 0.0, 0.0, 0.0)


def _update(state: RsiState, x: float) -> tuple[RsiState, float]:
    length, seen, previous, gain, loss = state
    if seen == 0:
        return RsiState(length, 1, x, 0.0, 0.0), np.nan
    if seen > length:
        gain *= length - 1
        loss *= length - 1
    change = x - previous
    if change < 0.0:
        loss -= change
    else:
        gain += change
    if seen < length:
        return RsiState(length, seen + 1, x, gain, loss), np.nan
    gain /= length
    loss /= length
    moved = gain + loss
    y = 0.0 if moved < _NOTHING else 100.0 * (gain / moved)
    return RsiState(length, length + 1, x, gain, loss), y


rsi_update: Callable[[RsiState, float], tuple[RsiState, float]] = numba.njit(cache=True)(_update)
"""Take one value; give the next state and the RSI, 0 to 100, NaN for the first ``length`` values.

O(1). Where the price has not moved at all it is 0, as TA-Lib has it: so the first rise after a price that
never moved goes from 0 to 100. Values must be finite: a NaN would stay in the averages for ever.
"""


def _run(state: RsiState, xs: NDArray[np.float64]) -> tuple[RsiState, NDArray[np.float64]]:
    ys = np.empty(len(xs))
    for i in range(len(xs)):
        state, ys[i] = rsi_update(state, xs[i])
    return state, ys


rsi_run: Callable[[RsiState, NDArray[np.float64]], tuple[RsiState, NDArray[np.float64]]] = numba.njit(cache=True)(
    _run
)
"""Take values (float64[n]) one after the other by `rsi_update`; give the last state and the RSI of each."""
