"""Prices and sizes as integers: each is the nearest double of a decimal, and sums of them are to be exact."""

import numpy as np
from numpy.typing import NDArray

from core import candle_kernel as kernel
from core.candle_kernel import SCALE
from core.errors import IntegrityError
from core.trades import TradeBatch

_Integers = tuple[NDArray[np.uint64], NDArray[np.uint8]]
Exact = tuple[_Integers, _Integers]
"""Prices and sizes as integers with their scales."""


def exactly(trades: TradeBatch) -> Exact:
    """Give the trades' prices and sizes as integers, such that no product needs more decimals than are kept.

    Raises `IntegrityError` where there are none.
    """
    prices, sizes = to_integers(trades.price), to_integers(trades.size)
    if (prices[1].astype(np.int64) + sizes[1] <= SCALE).all():
        return prices, sizes
    # Some product would have more decimals than are kept, unless both are written as short as they are.
    prices, sizes = to_integers(trades.price, smallest=True), to_integers(trades.size, smallest=True)
    wide = np.flatnonzero(prices[1].astype(np.int64) + sizes[1] > SCALE)
    if len(wide):
        raise IntegrityError(
            f"price × size of the trade {trades.ids[wide[0]]} of {trades.instrument} needs more than {SCALE} decimals"
        )
    return prices, sizes


def to_integers(values: NDArray[np.float64], smallest: bool = False) -> _Integers:
    """Give each value as an integer of at most 10**15, uint64, and its scale, uint8: exactly integer / 10**scale.

    ``smallest`` asks for the smallest scale of each. Raises `IntegrityError` for what is no decimal of at most 15
    significant digits and 18 decimals.
    """
    integers, scales = np.empty(len(values), dtype=np.uint64), np.empty(len(values), dtype=np.uint8)
    done = kernel.to_integers(values, integers, scales, smallest)
    if done < len(values):
        raise IntegrityError(f"the value {float(values[done])!r} is no decimal of at most 15 significant digits")
    return integers, scales
