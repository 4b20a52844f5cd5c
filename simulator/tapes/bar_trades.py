"""Trades inside bars: a Brownian bridge that meets open, high, low and close, and sizes that sum to the volume."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_HABIT = 0.7
"""Chance that a rising bar has its low before its high, and a falling one its high before its low."""


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Hold bars in whole steps, int64[n] each: prices in ticks, ``volume`` in lots; ``start`` is µs."""

    start: NDArray[np.int64]
    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]

    def take(self, rows: slice) -> "Steps":
        """Give some of the bars."""
        parts = (self.start, self.open, self.high, self.low, self.close, self.volume)
        return Steps(*(part[rows] for part in parts))

    def needed(self) -> NDArray[np.int64]:
        """Give how many trades each bar needs at least: to begin, to end, and to reach what lies outside of both."""
        up = self.high > np.maximum(self.open, self.close)
        down = self.low < np.minimum(self.open, self.close)
        return np.where(self.volume == 0, 0, np.where(self.high == self.low, 1, 2 + up + down)).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class BarTrades:
    """Hold trades in order, in whole steps: ``ts`` µs (whole ms), ``price`` ticks, ``size`` lots, all int64."""

    ts: NDArray[np.int64]
    price: NDArray[np.int64]
    size: NDArray[np.int64]
    side: NDArray[np.int8]


def draw(rng: np.random.Generator, bars: Steps, counts: NDArray[np.int64], length: int) -> BarTrades:
    """Draw the trades of bars, ``counts`` int64[n] of each (0, or as many as it needs, and no more than its lots).

    ``length`` is the bars' in µs. The first trade is at the open, the last at the close, the highest at the high,
    the lowest at the low; the sizes are at least one lot and sum to the volume.
    """
    bar = np.repeat(np.arange(len(counts)), counts)
    price = _prices(rng, bars, counts, bar)
    change = np.sign(np.diff(price, prepend=price[:1]))
    coin = rng.integers(0, 2, len(price)) * 2 - 1
    return BarTrades(
        _times(rng, bars.start, bar, length),
        price,
        _sizes(rng, bars.volume, counts, bar),
        np.where(change == 0, coin, change).astype(np.int8),
    )


def _prices(
    rng: np.random.Generator, bars: Steps, counts: NDArray[np.int64], bar: NDArray[np.intp]
) -> NDArray[np.int64]:
    anchor, target = _anchors(rng, bars, counts, len(bar))
    rows = np.arange(len(bar))
    at = np.flatnonzero(anchor)
    segment = np.cumsum(anchor) - 1
    a, b = at[segment], at[np.minimum(segment + 1, len(at) - 1)]
    spread = (bars.high - bars.low) / np.sqrt(np.maximum(counts, 1))
    walk = np.cumsum(rng.standard_normal(len(bar)) * spread[bar])
    along = (rows - a) / np.maximum(b - a, 1)
    # On an anchor itself nothing is added: whole steps below 10**15 stay what they are.
    path = target[a] + walk - walk[a] + along * (target[b] - target[a] - (walk[b] - walk[a]))
    price: NDArray[np.int64]
    # What would leave the bar comes back from its edge, as from a mirror.
    low, width = bars.low[bar], np.maximum(bars.high - bars.low, 1)[bar]
    apart = (path - low) % (2 * width)
    price = low + np.rint(np.minimum(apart, 2 * width - apart)).astype(np.int64)
    return np.clip(price, low, bars.high[bar])


def _anchors(
    rng: np.random.Generator, bars: Steps, counts: NDArray[np.int64], n: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Say which rows are fixed, and where: the first, the last, and where the bar's high and low are reached."""
    anchor, target = np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.int64)
    first = np.cumsum(counts) - counts
    some = counts > 0
    up = some & (bars.high > np.maximum(bars.open, bars.close))
    down = some & (bars.low < np.minimum(bars.open, bars.close))
    luck = rng.random((3, len(counts)))
    inner = np.maximum(counts - 2, 1)
    one = (luck[0] * inner).astype(np.int64)
    # Another place than the first one, each as likely.
    other = (one + 1 + (luck[1] * np.maximum(inner - 1, 1)).astype(np.int64)) % inner
    earlier, later = np.minimum(one, other), np.maximum(one, other)
    low_first = (luck[2] < _HABIT) == (bars.close >= bars.open)
    both = up & down
    high_at = np.where(both, np.where(low_first, later, earlier), one)
    low_at = np.where(both, np.where(low_first, earlier, later), one)
    for which, place, value in (
        (some, 0, bars.open),
        (some, counts - 1, bars.close),
        (up, 1 + high_at, bars.high),
        (down, 1 + low_at, bars.low),
    ):
        rows = (first + place)[which]
        anchor[rows] = True
        target[rows] = value[which]
    return anchor, target


def _sizes(
    rng: np.random.Generator, volume: NDArray[np.int64], counts: NDArray[np.int64], bar: NDArray[np.intp]
) -> NDArray[np.int64]:
    share = rng.standard_exponential(len(bar)) ** 2
    total = np.bincount(bar, weights=share, minlength=len(counts))
    last = np.cumsum(counts) - 1
    first = last - counts + 1
    # Cut the volume at rising places: what lies between them sums to all of it.
    upto = np.cumsum(share / total[bar])
    before = np.append(0.0, upto)[first]
    spare = volume - counts
    place = np.minimum((spare[bar] * (upto - before[bar])).astype(np.int64), spare[bar])
    place[last[counts > 0]] = spare[counts > 0]
    size: NDArray[np.int64] = 1 + np.diff(place, prepend=0)
    starts = first[counts > 0]
    size[starts] = 1 + place[starts]
    return size


def _times(
    rng: np.random.Generator, start: NDArray[np.int64], bar: NDArray[np.intp], length: int
) -> NDArray[np.int64]:
    moment = np.sort(bar + rng.random(len(bar))) - bar
    within = (moment * length).astype(np.int64) // 1000 * 1000
    ts: NDArray[np.int64] = start[bar] + np.clip(within, 0, length - 1000)
    return ts
