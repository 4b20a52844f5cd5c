"""The latest trades of an instrument whose ids do not chain: to know those that come again, or say otherwise.

What is forgotten depends on how many rows have arrived, never on how they were cut into batches.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.timeframes import SECOND
from core.trades import TradeBatch

FEWEST = 512
MOST = 16_384
MEMORY = 30 * SECOND
"""So many trades are remembered: the latest by event time, and those of the last half minute where there is room."""

_STRIDE = 256


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """Hold trades in the order of arrival; a value, never changed in place.

    ``ids``, ``ts`` (event time, µs) and ``prints`` (a number for what the row says) are int64[n]. ``arrived`` counts
    all rows; ``newest`` is the largest event time; whether a trade from before ``horizon`` is known cannot be told.
    """

    ids: NDArray[np.int64] = field(default_factory=_none)
    ts: NDArray[np.int64] = field(default_factory=_none)
    prints: NDArray[np.int64] = field(default_factory=_none)
    arrived: int = 0
    newest: int = 0
    horizon: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Remembered):
            return NotImplemented
        arrays = zip((self.ids, self.ts, self.prints), (other.ids, other.ts, other.prints), strict=True)
        numbers = self.arrived, self.newest, self.horizon
        return numbers == (other.arrived, other.newest, other.horizon) and all(
            np.array_equal(a, b) for a, b in arrays
        )

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True, eq=False)
class ToldApart:
    """Hold what rows are, bool[n] each: ``repeated``; ``other``: repeated, and it says something else; ``unsure``."""

    repeated: NDArray[np.bool_]
    other: NDArray[np.bool_]
    unsure: NDArray[np.bool_]

    @property
    def fresh(self) -> NDArray[np.bool_]:
        """Give which rows are new."""
        return ~(self.repeated | self.unsure)


def tell_apart(remembered: Remembered, trades: TradeBatch, *, live: bool) -> tuple[Remembered, ToldApart]:
    """Tell new trades from known ones, in order of arrival, and remember the new ones.

    A trade from before the horizon that came ``live`` is unsure; who fetches trades knows what there is, so a fetched
    one is new.
    """
    told = ToldApart(*(np.zeros(len(trades), np.bool_) for _ in range(3)))
    prints = _prints(trades)
    at = 0
    while at < len(trades):
        stop = min(len(trades), at + _STRIDE - remembered.arrived % _STRIDE)
        remembered = _take(remembered, trades, prints, slice(at, stop), live, told)
        at = stop
    return remembered, told


def _take(
    remembered: Remembered,
    trades: TradeBatch,
    prints: NDArray[np.int64],
    rows: slice,
    live: bool,
    told: ToldApart,
) -> Remembered:
    ids, ts = trades.ids[rows], trades.ts[rows]
    first = np.zeros(len(ids), np.bool_)
    first[np.unique(ids, return_index=True)[1]] = True
    repeated = np.isin(ids, remembered.ids) | ~first
    unsure = ~repeated & (ts < remembered.horizon) if live else np.zeros(len(ids), np.bool_)
    if repeated.any():
        told.other[rows] = repeated & _says_otherwise(remembered, ids, prints[rows], repeated)
    told.repeated[rows], told.unsure[rows] = repeated, unsure
    new = ~(repeated | unsure)
    grown = Remembered(
        np.concatenate((remembered.ids, ids[new])),
        np.concatenate((remembered.ts, ts[new])),
        np.concatenate((remembered.prints, prints[rows][new])),
        remembered.arrived + len(ids),
        max(remembered.newest, int(ts[new].max())) if new.any() else remembered.newest,
        remembered.horizon,
    )
    return _forget(grown) if grown.arrived % _STRIDE == 0 else grown


def _forget(remembered: Remembered) -> Remembered:
    """Forget the oldest by event time: old ones that were fetched push nothing out that may come again."""
    if len(remembered) <= FEWEST:
        return remembered
    order = np.argsort(remembered.ts, kind="stable")
    old = int(np.searchsorted(remembered.ts[order], remembered.newest - MEMORY))
    cut = max(min(old, len(order) - FEWEST), len(order) - MOST)
    if cut == 0:
        return remembered
    left = np.sort(order[cut:])
    horizon = max(remembered.horizon, int(remembered.ts[order[cut - 1]]) + 1)
    columns = remembered.ids[left], remembered.ts[left], remembered.prints[left]
    return Remembered(*columns, remembered.arrived, remembered.newest, horizon)


def _says_otherwise(
    remembered: Remembered, ids: NDArray[np.int64], prints: NDArray[np.int64], repeated: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    known = dict(zip(remembered.ids.tolist(), remembered.prints.tolist(), strict=True))
    other = np.zeros(len(ids), np.bool_)
    for row, (number, said) in enumerate(zip(ids.tolist(), prints.tolist(), strict=True)):
        other[row] = known.setdefault(number, said) != said and bool(repeated[row])
    return other


def _prints(trades: TradeBatch) -> NDArray[np.int64]:
    # Not of the time: a venue may tell it in ms over a websocket and in seconds by REST.
    price, size = trades.price.view(np.int64), trades.size.view(np.int64)
    with np.errstate(over="ignore"):
        return np.asarray((price * np.int64(1_000_003)) ^ (size * np.int64(8_191)) ^ trades.side.astype(np.int64))
