"""What a feed may occupy, and what may go."""

from itertools import pairwise

from core.errors import JournalFull
from storage.journal import positions
from storage.journal.disk import sync_folder
from storage.journal.folder import FeedFolder


def trim(folder: FeedFolder, before: int) -> None:
    """Unlink the segments that hold only offsets below ``before``, oldest first; the newest always stays."""
    segments = folder.first_offsets()
    gone = [first for first, following in pairwise(segments) if following <= before]
    for first in gone:
        folder.segment(first).unlink(missing_ok=True)
    if gone:
        sync_folder(folder.path)


def make_room(folder: FeedFolder, size: int, max_bytes: int) -> None:
    """Drop the oldest consumed segments until ``size`` more bytes fit; raise `JournalFull` when they cannot."""
    occupied = _occupied(folder)
    excess = sum(occupied.values()) + size - max_bytes
    if excess <= 0:
        return
    consumed = positions.load(folder)
    before = min(consumed.values()) + 1 if consumed else 0
    droppable = _droppable(occupied, before)
    last = 0
    for first, following in droppable:
        if excess <= 0:
            break
        excess -= occupied[first]
        last = following
    if excess > 0:
        unread = sum(occupied.values()) - sum(occupied[first] for first, _ in droppable)
        raise JournalFull(_reason(folder.feed, consumed, unread, max_bytes))
    trim(folder, last)


def _droppable(occupied: dict[int, int], before: int) -> list[tuple[int, int]]:
    return [(first, following) for first, following in pairwise(occupied) if following <= before]


def _occupied(folder: FeedFolder) -> dict[int, int]:
    sizes = {}
    for first in folder.first_offsets():
        try:
            sizes[first] = folder.segment(first).stat().st_size
        except FileNotFoundError:
            continue
    return sizes


def _reason(feed: str, consumed: dict[str, int], unread: int, max_bytes: int) -> str:
    if not consumed:
        who = "no consumer has confirmed anything yet: start the dataflow"
    else:
        slowest = min(consumed, key=lambda name: consumed[name])
        who = f"the consumer {slowest!r} stands at {consumed[slowest]}: start it"
    return (
        f"the journal of feed {feed!r} is full: {unread} of {max_bytes} bytes are unread; {who}, "
        "or raise journal.max_bytes"
    )
