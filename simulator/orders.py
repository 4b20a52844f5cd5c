"""Orders: from the times at which takers act to the trades that they cause."""

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.timeframes import SECOND
from core.trades import TradeBatch
from simulator.listing import Listing

FILLS = 1.6
"""Mean number of makers that an order meets, hence of trades that it causes."""

_TURN = 0.3
"""Chance that an order takes the other side than the one before it."""
_INFORMED = 0.35
"""Chance that an order instead takes the side to which the price goes next."""
_SPREAD_OF_SIZES = 1.7
"""Standard deviation of the logarithm of an order's notional."""
_ROUND = 0.25
"""Chance that an order is of a round size: one significant digit."""
_SWEEP = 2e-6
"""How far one more maker stands from the price, as a part of it (one tick at least)."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Hold what the flow of orders carries over a block's edge.

    ``waiting`` int64 are the times (µs since the epoch, UTC) of orders already provoked; ``side`` is the last
    order's, +1 or -1.
    """

    next_id: int
    side: int = 1
    waiting: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


def fills(
    rng: np.random.Generator,
    listing: Listing,
    flow: Flow,
    start: int,
    length: int,
    seconds: NDArray[np.float64],
    mid: NDArray[np.float64],
) -> tuple[Flow, TradeBatch]:
    """Give the trades of the block [start, start + length) µs and the flow after it.

    ``seconds`` float64 are times of new orders since ``start``, in any order, also beyond the block's end;
    ``mid`` float64[n + 1] are the mid prices at n + 1 evenly spaced times from the block's start to its end.
    """
    times = np.concatenate((flow.waiting, start + (seconds * SECOND).astype(np.int64)))
    times.sort()
    here = int(np.searchsorted(times, start + length))
    now, waiting = times[:here], times[here:].copy()
    slot = (now - start) * (len(mid) - 1) // length
    sides = _sides(rng, flow.side, np.sign(mid[slot + 1] - mid[slot]).astype(np.int64))
    makers = rng.geometric(1 / FILLS, here)
    order = np.repeat(np.arange(here), makers)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(makers) - makers, makers)
    side = sides[order]
    price = _prices(listing, mid[slot], order, side, rank)
    size = _sizes(rng, listing, mid[slot], order)
    ts = now[order] // 1000 * 1000
    n = len(order)
    latency = (2_500 + 2_000 * rng.standard_exponential(here)).astype(np.int64)
    batch = TradeBatch(
        listing.instrument.name,
        "trade",
        flow.next_id + np.arange(n, dtype=np.int64),
        ts,
        now[order] + latency[order],
        price,
        size,
        side.astype(np.int8),
        np.ones(n, dtype=np.int32),
        np.full(n, -1, dtype=np.int64),
    )
    return Flow(flow.next_id + n, int(sides[-1]) if here else flow.side, waiting), batch


def _sides(rng: np.random.Generator, last: int, coming: NDArray[np.int64]) -> NDArray[np.int64]:
    turns = np.cumsum(rng.random(len(coming)) < _TURN)
    habit = last * (1 - 2 * (turns % 2))
    informed = (rng.random(len(coming)) < _INFORMED) & (coming != 0)
    return np.where(informed, coming, habit)


def _prices(
    listing: Listing,
    mid: NDArray[np.float64],
    order: NDArray[np.int64],
    side: NDArray[np.int64],
    rank: NDArray[np.int64],
) -> NDArray[np.float64]:
    tick = listing.instrument.tick or Decimal(1)
    ticks = mid / float(tick)
    apart = np.maximum(1, (ticks * _SWEEP).astype(np.int64))
    # The first two makers stand at the best price, the others behind it.
    behind = np.maximum(0, rank - 1) * apart[order]
    best = np.rint(ticks).astype(np.int64)[order] + (side > 0)
    return decimals(np.maximum(1, best + side * behind), tick)


def _sizes(
    rng: np.random.Generator, listing: Listing, mid: NDArray[np.float64], order: NDArray[np.int64]
) -> NDArray[np.float64]:
    lot = listing.instrument.lot or Decimal(1)
    orders = len(mid)
    wanted = listing.notional / mid * np.exp(_SPREAD_OF_SIZES * rng.standard_normal(orders))
    digit = 10.0 ** np.floor(np.log10(wanted))
    wanted = np.where(rng.random(orders) < _ROUND, np.rint(wanted / digit) * digit, wanted)
    share = rng.standard_exponential(len(order))
    share /= np.bincount(order, weights=share, minlength=orders)[order]
    return decimals(np.maximum(1, np.rint(wanted[order] * share / float(lot)).astype(np.int64)), lot)


def decimals(steps: NDArray[np.int64], step: Decimal) -> NDArray[np.float64]:
    """Give steps × step as the nearest double of the exact decimal: one division of two exact numbers."""
    _, digits, exponent = step.normalize().as_tuple()
    whole = int("".join(map(str, digits))) * 10 ** max(0, int(exponent))
    values: NDArray[np.float64] = (steps * whole) / float(10 ** max(0, -int(exponent)))
    return values
