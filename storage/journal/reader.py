"""Reading one feed, from any process."""

from threading import RLock
from typing import NamedTuple

from core.errors import IntegrityError, UserError
from core.records import RecordBlock
from storage.journal.cursor import Cursor, trimmed
from storage.journal.folder import FeedFolder
from storage.journal.lease import Mark, Tenancy

_CURSORS = 4
_EVERYTHING = 1 << 62


class _Silence(NamedTuple):
    """Where nothing was found while nobody wrote; it lasts until a writer changes the mark."""

    mark: Mark | None
    segment: int
    position: int


class FeedReader:
    """Read a feed; keeps a few places in it, so that readers who go on from where they were pay no search."""

    def __init__(self, folder: FeedFolder) -> None:
        self._folder = folder
        self._tenancy = Tenancy(folder)
        self._cursors: list[Cursor] = []
        self._tail: Cursor | None = None
        self._silence: _Silence | None = None
        self._lock = RLock()

    def read(self, after: int, limit: int) -> RecordBlock | None:
        """Give at most ``limit`` records with offsets above ``after``; None when there are none yet."""
        if limit < 1 or after < -1:
            raise UserError(f"cannot read {limit} records after {after}: at least 1 after -1 or more")
        with self._lock:
            cursor = self._cursor(after + 1)
            return self._read(cursor, limit) if cursor else None

    def last_offset(self) -> int:
        """Give the offset of the last durable record, -1 when there is none."""
        with self._lock:
            mark = self._tenancy.mark()
            if mark is not None and mark.settled and (self._silence is None or self._silence.mark != mark):
                with self._tenancy.vacant() as vacant:
                    if not vacant:
                        return mark.end - 1
            return self._last_written()

    def first_offset(self) -> int:
        """Give the offset of the oldest record kept, 0 when there is none."""
        return next(iter(self._folder.first_offsets()), 0)

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for cursor in (*self._cursors, *([self._tail] if self._tail else [])):
                cursor.close()
            self._cursors, self._tail = [], None
            self._tenancy.close()

    def _last_written(self) -> int:
        segments = self._folder.first_offsets()
        if not segments:
            return -1
        if self._tail is None or self._tail.segment not in segments:
            if self._tail is not None:
                self._tail.close()
            self._tail = Cursor(self._folder, segments[-1], _EVERYTHING)
        self._read(self._tail, 1)
        return self._tail.offset - 1

    def _read(self, cursor: Cursor, limit: int) -> RecordBlock | None:
        mark = self._tenancy.mark()
        if mark is not None:
            found = cursor.read(limit, mark.end)
            if found is not None:
                return found
        silence = _Silence(mark, cursor.segment, cursor.position)
        if mark is not None and silence == self._silence:
            return None
        with self._tenancy.vacant() as vacant:
            if vacant:
                found = self._read_unwritten(cursor, limit)
                # Looking again could only keep a new writer waiting for the lock.
                self._silence = _Silence(mark, cursor.segment, cursor.position) if found is None else None
                return found
        if mark is not None and mark.settled and cursor.offset < mark.end:
            self._refuse_damage(cursor, mark)
        return None

    def _read_unwritten(self, cursor: Cursor, limit: int) -> RecordBlock | None:
        """Read to the end of what is whole, as nobody writes; what is given is durable."""
        segment = cursor.segment
        cursor.sync()
        found = cursor.read(limit, _EVERYTHING)
        if cursor.segment != segment:
            cursor.sync()
        behind = cursor.contradiction() if found is None else None
        if behind is not None:
            raise IntegrityError(
                f"{cursor.path} cannot be read at byte {cursor.position} (record {cursor.offset}), yet "
                f"the records at byte {behind} are whole; restore it from a backup"
            )
        return found

    def _refuse_damage(self, cursor: Cursor, mark: Mark) -> None:
        if self._tenancy.mark() == mark:  # else a writer is just opening the feed
            raise IntegrityError(
                f"{cursor.path} cannot be read at byte {cursor.position} (record {cursor.offset}), "
                f"yet records up to {mark.end - 1} were stored; restore it from a backup"
            )

    def _cursor(self, wanted: int) -> Cursor | None:
        for cursor in self._cursors:
            if cursor.wanted == wanted:
                self._cursors.remove(cursor)
                if cursor.path.exists():
                    self._cursors.append(cursor)
                    return cursor
                cursor.close()  # trimmed: what follows may still be kept
                break
        while True:
            segments = self._folder.first_offsets()
            if not segments:
                return None
            if wanted < segments[0]:
                raise trimmed(self._folder, wanted, segments[0])
            try:
                cursor = Cursor(self._folder, max(first for first in segments if first <= wanted), wanted)
            except FileNotFoundError:
                continue  # trimmed between the listing and the opening
            self._cursors.append(cursor)
            if len(self._cursors) > _CURSORS:
                self._cursors.pop(0).close()
            return cursor
