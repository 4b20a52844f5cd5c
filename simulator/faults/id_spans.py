"""Spans of trade ids: what a fault has touched, in little room."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray


class IdSpans:
    """Hold ids as spans [first, last], ascending, joined where they chain."""

    def __init__(self) -> None:
        self.spans: list[list[int]] = []

    def add(self, ids: NDArray[np.int64]) -> None:
        """Take ids in; those that are in are taken once."""
        for number in ids.tolist():
            self._add(number)

    def among(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell of each id whether it is in: bool[n]."""
        if not self.spans:
            return np.zeros(len(ids), bool)
        edges = np.array(self.spans, np.int64)
        at = np.searchsorted(edges[:, 0], ids, "right") - 1
        inside: NDArray[np.bool_] = (at >= 0) & (ids <= edges[at, 1])
        return inside

    def _add(self, number: int) -> None:
        spans = self.spans
        at = bisect_right(spans, number, key=lambda span: span[0]) - 1
        if at >= 0 and number <= spans[at][1]:
            return
        if at >= 0 and number == spans[at][1] + 1:
            spans[at][1] = number
        else:
            at += 1
            spans.insert(at, [number, number])
        if at + 1 < len(spans) and spans[at + 1][0] == number + 1:
            spans[at][1] = spans.pop(at + 1)[1]
