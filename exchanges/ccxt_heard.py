"""Whether what an exchange gives by REST are the trades that it sends, id by id."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import TransientError, VenueError
from exchanges.ccxt_frames import Row

KEPT = 5_000
ENOUGH = 1_000
"""So many trades that came both ways, and none between them that did not, show that both are told alike."""

SETTLED_MS = 1_000
"""What is younger than this may still be on its way."""

_LATE_MS = 10_000
_TOLERATED = 50


class Heard:
    """Remember the last trades that were watched, by market, and hold fetched ones to them.

    At some venues ccxt watches other trades than it fetches (OKX: fills of one order as one trade, and each by
    itself). Filled up from REST, the same trade would stand twice, and nothing would show it. So until both have been
    seen to be alike, what is fetched is given only as far as it was watched too; and where they differ, not at all.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, tuple[int, float]]] = {}
        self._stretch: dict[str, tuple[int, int] | None] = {}
        self._met: set[tuple[str, str]] = set()
        self._alike = False
        self._differ = False

    def begin(self, symbol: str) -> None:
        """Note that a market is watched from now on: what came before may have a hole after it."""
        self._stretch[symbol] = None

    def note(self, symbol: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Note trades that were watched, ascending by ``timestamp`` (ms since the epoch, UTC)."""
        if symbol not in self._stretch or not rows:
            return
        known = self._known.setdefault(symbol, {})
        known |= {row["id"]: (row["timestamp"], _size(row["amount"])) for row in rows[-KEPT:]}
        if len(known) > 2 * KEPT:
            for one in list(known)[:-KEPT]:
                del known[one]
        before = self._stretch[symbol] or (rows[0]["timestamp"], rows[0]["timestamp"])
        self._stretch[symbol] = before[0], max(before[1], rows[-1]["timestamp"])

    def sifted(self, symbol: str, rows: list[Row]) -> list[Row]:
        """Give those fetched trades, ascending, that may stand beside the watched ones.

        Raises `VenueError` where the exchange tells them in different ways, `TransientError` while that is not known
        and these trades do not show it. Before a market is watched, all are given.
        """
        stretch = self._stretch.get(symbol, (0, 0))
        if self._differ or (stretch and stretch != (0, 0) and self._contradicts(symbol, stretch, rows)):
            self._differ = True
            raise VenueError(
                f"ccxt fetches the trades of {symbol} in another way than it watches them: by other ids, or sizes; "
                "what is missing cannot be filled up from there"
            )
        if stretch == (0, 0) or self._alike:
            return rows
        if stretch is None or not self._unambiguous(symbol, stretch, rows):
            raise TransientError(f"whether ccxt fetches the trades of {symbol} as it watches them is not known yet")
        return [row for row in rows if row.timestamp <= stretch[1]]

    def _unambiguous(self, symbol: str, stretch: tuple[int, int], rows: list[Row]) -> bool:
        """Say whether these trades are of a time that was watched and the same, or of a time that was not."""
        times = {time for time, _ in self._known[symbol].values()}
        same = self._same(symbol, rows)
        if not rows or rows[-1].timestamp > stretch[1] + _LATE_MS:
            return False
        if not same and rows[-1].timestamp >= stretch[0]:
            return False
        return not any(
            row.id not in same and (row.timestamp in times or stretch[0] <= row.timestamp <= stretch[1])
            for row in rows
        )

    def _same(self, symbol: str, rows: list[Row]) -> set[str]:
        known = self._known[symbol]
        return {row.id for row in rows if row.id in known and known[row.id][1] == _size(row.amount)}

    def _contradicts(self, symbol: str, stretch: tuple[int, int], rows: list[Row]) -> bool:
        known, fetched = self._known[symbol], {row.id for row in rows}
        same = self._same(symbol, rows)
        first, last = stretch[0], stretch[1] - SETTLED_MS
        odd = sum(row.id not in same and first < row.timestamp < last for row in rows)
        if rows:
            low, high = max(first, rows[0].timestamp), min(last, rows[-1].timestamp)
            odd += sum(low < time < high and one not in fetched for one, (time, _) in known.items())
        self._met = set() if odd else self._met | {(symbol, one) for one in same}
        self._alike = self._alike or len(self._met) >= ENOUGH
        return odd * _TOLERATED > len(same) + odd


def _size(text: str) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return -1.0
