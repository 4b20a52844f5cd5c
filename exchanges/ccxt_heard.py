"""Whether what an exchange gives by REST are the trades that it sends, by their ids."""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Any

KEPT = 5_000
SETTLED_MS = 1_000
"""What is younger than this may still be on its way."""

_TOLERATED = 50


class Heard:
    """Remember the last trades that were watched, by market.

    At some venues ccxt watches one kind of id and fetches another (OKX: fills of one order as one trade, and each by
    itself): filled up from REST, the same trade would stand twice. That shows in a stretch that was watched without
    a break.
    """

    def __init__(self) -> None:
        self._known: dict[str, deque[tuple[int, str]]] = {}

    def begin(self, symbol: str) -> None:
        """Note that a market is watched from now on: what was heard before is of another stretch."""
        self._known[symbol] = deque(maxlen=KEPT)

    def note(self, symbol: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note trades in the order of their arrival: ``timestamp`` in ms, ``id`` as text."""
        if symbol in self._known:
            self._known[symbol].extend((row["timestamp"], row["id"]) for row in rows[-KEPT:])

    def alike(self, symbol: str, fetched: Collection[tuple[int, str]]) -> bool:
        """Say whether fetched trades, as (ms, id), are the watched ones where they are of the same time.

        One in 50 may be missing. True where nothing was fetched of that time.
        """
        known = self._known.get(symbol)
        if not known:
            return True
        first, last, ids = known[0][0], known[-1][0] - SETTLED_MS, {one for _, one in known}
        both = [one for time, one in fetched if first < time < last]
        return sum(one not in ids for one in both) * _TOLERATED <= len(both)
