"""What cannot be read or believed: where ids do not chain, each may have been a trade that nobody will miss."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.continuity_in_time import SPACE
from core.records import Mark, Quarantined
from core.timeframes import HOUR
from core.trades import TradeBatch

MOST_AHEAD = HOUR
"""How far, in µs, a venue's time may be ahead of the time of receipt: clocks differ, but not by this much.

Taken as it is, one trade from the future would make all that follow late.
"""

CAUSE = "unreadable_frame"

BREAK = (Mark("lost", cause=CAUSE), Mark("connected"))
"""What such a frame is to the instruments of its feed: their connection may have missed something.

To its own instrument, so is a trade that is not believed.
"""


def around(batches: Sequence[TradeBatch], unread: Sequence[Quarantined]) -> Iterator[TradeBatch | int]:
    """Yield batches whose ids do not chain cut at frames that could not be read, and the offsets of these.

    Of several such frames with no trade between them, the first. Other batches come whole, and before: their ids show
    by themselves what is missing.
    """
    yield from (batch for batch in batches if batch.id_space != SPACE)
    unchained = [batch for batch in batches if batch.id_space == SPACE]
    after, told = -1, False
    for offset in sorted(one.offset for one in unread):
        parts = list(_between(unchained, after, offset))
        yield from parts
        if parts or not told:
            yield offset
        after, told = offset, True
    yield from _between(unchained, after, None)


def too_early(trades: TradeBatch) -> NDArray[np.bool_]:
    """Tell which trades are stamped so far ahead of their receipt that they are not believed (bool[n])."""
    return (trades.ts > trades.received + MOST_AHEAD) & (trades.received > 0)


def around_refused(trades: TradeBatch, refused: NDArray[np.bool_], live: bool) -> Iterator[TradeBatch | int]:
    """Yield the trades that are not ``refused`` (bool[n]), cut at those that are, and the offsets of these.

    Of several in a row, that of the first. Trades whose ids chain come in one piece, and so do those that are not
    ``live``: what was fetched proves nothing by itself.
    """
    if not live or trades.id_space != SPACE or not refused.any():
        sound = trades if not refused.any() else trades.take(~refused)
        if len(sound):
            yield sound
        return
    edges = [0, *(np.flatnonzero(np.diff(refused)) + 1).tolist(), len(trades)]
    for low, high in pairwise(edges):
        yield int(trades.offset[low]) if refused[low] else trades.take(slice(low, high))


def _between(batches: Sequence[TradeBatch], after: int, before: int | None) -> Iterator[TradeBatch]:
    for batch in batches:
        if after < int(batch.offset[0]) and (before is None or int(batch.offset[-1]) < before):
            yield batch
            continue
        rows = batch.offset > after
        if before is not None:
            rows &= batch.offset < before
        if np.any(rows):
            yield batch.take(rows)
