"""One reader's place in a feed."""

import os
from pathlib import Path

from core.errors import IntegrityError, TidemillError
from core.records import RecordBlock
from storage.journal.block import HEADER_BYTES as BLOCK_HEADER
from storage.journal.block import MAGIC, Block, Columns, measured, seed, skipped_bytes, verified
from storage.journal.disk import sync_data, sync_folder
from storage.journal.folder import FeedFolder
from storage.journal.segment import HEADER_BYTES, SegmentHeader

_SMALLEST_WINDOW = 1 << 16
_LARGEST_WINDOW = 1 << 20


class Cursor:
    """Read on from ``wanted`` without looking at anything twice.

    ``offset`` is the first offset of the block at ``position`` of the open segment; ``wanted`` the next record
    to hand out. Beginning a segment before ``wanted``, the cursor passes over what lies between.
    """

    def __init__(self, folder: FeedFolder, segment: int, wanted: int) -> None:
        self._folder = folder
        self._fd = -1
        self.wanted = wanted
        self.segment = segment
        self._open(segment)

    def _open(self, segment: int) -> bool:
        """Go to a segment; False if its header is torn and there is another to stay in."""
        path = self._folder.segment(segment)
        fd = os.open(path, os.O_RDONLY)
        try:
            header = self._checked_header(fd, path, segment)
        except BaseException:
            os.close(fd)
            raise
        if header is None and self._fd >= 0:
            os.close(fd)
            return False
        self.close()
        self._fd, self.path, self.segment, self.header = fd, path, segment, header
        self.offset, self.position = segment, HEADER_BYTES
        self._buffer, self._origin, self._window = b"", HEADER_BYTES, _SMALLEST_WINDOW
        self._current: Block | None = None
        self._skipped = (0, 0)
        return True

    def _checked_header(self, fd: int, path: Path, segment: int) -> SegmentHeader | None:
        header = SegmentHeader.decode(os.pread(fd, HEADER_BYTES, 0), path)
        if header is None:
            if self._folder.first_offsets()[-1:] != [segment]:
                raise IntegrityError(f"{path} has no beginning (byte 0), yet later segments follow; restore it")
        elif segment > self.segment and header.previous_end != self.offset:
            self._refuse_hole()
        return header

    def read(self, limit: int, bound: int) -> RecordBlock | None:
        """Give at most ``limit`` records before the offset ``bound``, None when there are none.

        Records are consecutive. Raises `IntegrityError` where a segment ends before the next one begins.
        """
        columns, first = Columns(), -1
        self._forget_tail()
        while columns.count < limit and self.offset < bound:
            block = self._block()
            if block is None:
                try:
                    more = self._next_segment()
                except TidemillError:
                    if columns.count == 0:
                        raise
                    break  # what is sound goes out first, the next call raises
                if not more or (columns.count and self.wanted != first + columns.count):
                    break
                continue
            skip = self.wanted - block.first_offset
            if skip < block.records:
                first = self.wanted if first < 0 else first
                self._take(columns, block, skip, min(block.records - skip, limit - columns.count))
            if self.wanted >= block.first_offset + block.records:
                self._pass(block)
        return columns.joined(self._folder.feed, first) if columns.count else None

    def _take(self, columns: Columns, block: Block, skip: int, count: int) -> None:
        if self._skipped[0] != skip:
            self._skipped = (skip, skipped_bytes(self._buffer, block, skip))
        taken = columns.take(self._buffer, block, skip, self._skipped[1], count)
        self._skipped = (skip + count, self._skipped[1] + taken)
        self.wanted += count

    def _pass(self, block: Block) -> None:
        self.position += block.length
        self.offset += block.records
        self._current, self._skipped = None, (0, 0)

    def _block(self) -> Block | None:
        """Give the verified block at ``position``, None when none can be read there (yet)."""
        if self._current is None and self.header is not None:
            if not self._holds(BLOCK_HEADER):
                return None
            length = measured(self._buffer, self.position - self._origin)
            if length is None or not self._holds(length):
                return None
            start = seed(self.header.nonce, self.position)
            block = verified(self._buffer, self.position - self._origin, length, start)
            if block is not None and block.first_offset == self.offset:
                self._current = block
        return self._current

    def _holds(self, size: int) -> bool:
        if self.position + size > self._origin + len(self._buffer):
            self._buffer = os.pread(self._fd, max(size, self._window), self.position)
            self._origin = self.position
            self._window = min(self._window * 2, _LARGEST_WINDOW)
        return len(self._buffer) >= self.position - self._origin + size

    def _forget_tail(self) -> None:
        """Drop bytes read before now that no verified block covers: a writer may have filled them since."""
        if self._current is None:
            known = self._origin + len(self._buffer)
            if known - self.position < BLOCK_HEADER or measured(self._buffer, self.position - self._origin) is None:
                self._reread()

    def _reread(self) -> None:
        self._buffer, self._origin, self._window = b"", self.position, _SMALLEST_WINDOW

    def _next_segment(self) -> bool:
        """Go to the following segment, or find that the block here can be read now; False at the end."""
        later = [first for first in self._folder.first_offsets() if first > self.segment]
        self._reread()
        # A writer fills a segment before it begins the next: what was not there before the listing may be now.
        if self._block() is not None:
            return True
        if not later:
            # A segment whose beginning was torn is written anew under the same name.
            return self.header is None and self._open(self.segment)
        try:
            if not self._open(later[0]):
                return False
        except FileNotFoundError:
            return True
        self.wanted = max(self.wanted, self.offset)
        return True

    def _refuse_hole(self) -> None:
        kept = self._folder.first_offsets()
        if not self.path.exists() and kept:
            raise trimmed(self._folder, self.offset, kept[0])
        raise IntegrityError(
            f"{self.path} cannot be read at byte {self.position} (record {self.offset}), yet later segments "
            "follow; restore it from a backup"
        )

    def contradiction(self) -> int | None:
        """Look behind an unreadable place: give the byte where a later block of this segment is whole.

        Appends are synced one by one, so a torn append is the last thing in its segment; a whole block
        behind an unreadable one proves that stored records were damaged.
        """
        size = os.fstat(self._fd).st_size
        for start in range(self.position + 1, size, _LARGEST_WINDOW):
            window = os.pread(self._fd, _LARGEST_WINDOW + len(MAGIC) - 1, start)
            at = window.find(MAGIC)
            while at >= 0:
                if self._whole(start + at):
                    return start + at
                at = window.find(MAGIC, at + 1)
        return None

    def _whole(self, position: int) -> bool:
        raw = os.pread(self._fd, BLOCK_HEADER, position)
        length = measured(raw, 0) if len(raw) == BLOCK_HEADER else None
        if length is None or self.header is None:
            return False
        raw = os.pread(self._fd, length, position)
        return len(raw) == length and verified(raw, 0, length, seed(self.header.nonce, position)) is not None

    def sync(self) -> None:
        """Make durable what this segment holds, and its name."""
        sync_data(self._fd)
        sync_folder(self._folder.path)

    def close(self) -> None:
        """Close the segment."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def trimmed(folder: FeedFolder, offset: int, first: int) -> IntegrityError:
    """Build the error for records that are kept no more."""
    return IntegrityError(
        f"feed {folder.feed!r}: record {offset} is kept no more, the first kept is {first}; read after {first - 1}"
    )
