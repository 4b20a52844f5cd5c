"""Ranges of trade ids that were received, and the holes between them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """Hold consecutive ids that were received, and the event times they span (µs since the epoch, UTC)."""

    first_id: int
    last_id: int
    first_ts: int
    last_ts: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Hold missing ids between two ranges.

    ``due`` is the event time that the watermark has to pass for the hole to become a gap; ``below`` says that the
    hole lies under everything received before it appeared (an older recording comes in) and is still being
    filled; ``gap`` is the (first, last) id of the gap that it belongs to, once it is one.
    """

    first_id: int
    last_id: int
    after_ts: int
    before_ts: int
    due: int
    below: bool = False
    gap: tuple[int, int] | None = None
