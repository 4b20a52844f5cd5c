"""Frames that cannot be read: where ids do not chain, each may have been a trade that nobody will miss."""

from collections.abc import Iterator, Sequence

import numpy as np

from core.continuity_in_time import SPACE
from core.records import Mark, Quarantined
from core.trades import TradeBatch

CAUSE = "unreadable_frame"

BREAK = (Mark("lost", cause=CAUSE), Mark("connected"))
"""What such a frame is to the instruments of its feed: their connection may have missed something."""


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
