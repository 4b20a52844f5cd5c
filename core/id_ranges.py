"""Ranges of trade ids that were received, and the holes between them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.plain import Plain
from core.timeframes import SECOND

ORDERLY = SECOND
"""A venue numbers its trades in the order of their times, to within this (µs)."""


@dataclass(frozen=True, slots=True)
class Range(Plain):
    """Hold consecutive ids that were received, and the event times they span (µs since the epoch, UTC)."""

    first_id: int
    last_id: int
    first_ts: int
    last_ts: int


@dataclass(frozen=True, slots=True)
class Hole(Plain):
    """Hold missing ids between two ranges.

    ``due`` is the event time that the watermark has to pass for the hole to become a gap; ``below`` says that the
    hole lies under everything received before it appeared (an older recording comes in) and is still being
    filled; ``gap`` is the (first, last) id of the gap that it belongs to, once it is one. ``cause`` is why.
    """

    first_id: int
    last_id: int
    after_ts: int
    before_ts: int
    due: int
    below: bool = False
    gap: tuple[int, int] | None = None
    cause: str = "missing_ids"


def consecutive(firsts: NDArray[np.int64], ids: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Give the runs (from, to) of rows that follow one another without a hole.

    ``firsts`` and ``ids`` are the first and the last id that each row stands for.
    """
    if len(ids) <= 1:
        if len(ids):
            yield 0, 1
        return
    breaks = np.flatnonzero(firsts[1:] != ids[:-1] + 1) + 1
    edges = [0, *breaks.tolist(), len(ids)]
    yield from pairwise(edges)


def rows_of(
    firsts: NDArray[np.int64], ids: NDArray[np.int64], run: tuple[int, int], begin: int, last: int
) -> tuple[int, int]:
    """Give where the rows that stand for ids from ``begin`` to ``last`` alone begin in a run, and how many they are.

    ``firsts`` are the first ids that rows stand for, ``ids`` the last; where a row is one id they are the same array.
    """
    low, high = run
    if firsts is ids:
        return low + begin - int(ids[low]), last - begin + 1
    start = int(np.searchsorted(firsts[low:high], begin))
    return low + start, max(0, int(np.searchsorted(ids[low:high], last, "right")) - start)


def unknown(ranges: tuple[Range, ...], first: int, last: int) -> list[tuple[int, int]]:
    """Give what of the ids ``first`` to ``last`` lies in no range, as pieces (first, last)."""
    if not ranges or first > ranges[-1].last_id:
        return [(first, last)] if first <= last else []
    pieces = []
    for known in ranges:
        if first > last or known.first_id > last:
            break
        if known.last_id < first:
            continue
        if first < known.first_id:
            pieces.append((first, known.first_id - 1))
        first = known.last_id + 1
    if first <= last:
        pieces.append((first, last))
    return pieces


def renumbered(ids: NDArray[np.int64], ts: NDArray[np.int64], newest: Range) -> NDArray[np.bool_]:
    """Tell which rows have an id from within or before the ``newest`` range and happened after all of it.

    Such an id was given to another trade before: the venue has begun anew to count. ``ts`` is µs; gives bool[n].
    """
    return (ids <= newest.last_id) & (ts > newest.last_ts + ORDERLY)


def stretches(wanted: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Give where (from, to) the rows that are ``wanted`` follow one another."""
    edges = np.flatnonzero(np.diff(wanted, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
