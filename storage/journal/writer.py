"""Writing one feed: one process at a time, durable on return."""

import os
from collections.abc import Sequence
from contextlib import suppress
from threading import RLock

import structlog

from core.errors import IntegrityError, JournalFull, UserError
from core.records import Record
from storage.journal import positions, retention
from storage.journal.block import HEADER_BYTES as BLOCK_HEADER
from storage.journal.block import draft
from storage.journal.cursor import Cursor
from storage.journal.disk import explained, make_folder, sync_data, sync_folder, write_all
from storage.journal.doorbell import Ringer
from storage.journal.folder import FeedFolder
from storage.journal.lease import Lease
from storage.journal.preparation import Preparation
from storage.journal.segment import HEADER_BYTES, SegmentHeader

_EVERYTHING = 1 << 62
_SMALL = 1 << 20
_ZEROS = bytes(1 << 20)


class FeedWriter:
    """Append to a feed while holding its lease.

    Opening finds the end of what is whole and clears a torn append behind it. An offset that was given out is
    never given out again: if acknowledged records are gone (a disk that lied, a file that was cut), writing
    goes on behind them in a new segment that says so, and readers pass over the hole.
    """

    def __init__(self, folder: FeedFolder, segment_bytes: int, max_bytes: int) -> None:
        self._folder, self._segment_bytes, self._max_bytes = folder, segment_bytes, max_bytes
        self._fd = -1
        self._header: SegmentHeader | None = None
        self._position = self._capacity = 0
        self._folder_synced = True
        self._preparation: Preparation | None = None
        self._may_prepare = False
        self.end = 0
        self._lost_from: int | None = None
        self._lock = RLock()
        make_folder(folder.path)
        self._lease = Lease(folder)
        self._ringer = Ringer(folder.doorbells)
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def append(self, records: Sequence[Record]) -> int:
        """Append records; give the offset of the last one, durable."""
        with self._lock:
            if not records:
                return self.end - 1
            group = draft(records, self.end)
            try:
                header = self._header
                if header is None or self._position + group.length > self._capacity:
                    header = self._roll(group.length)
                self._write(group.placed(header.nonce, self._position))
                self._lease.publish(self.end + len(records))
            except OSError as error:
                raise explained(error, self._folder.path) from None
            self._position += group.length
            self.end += len(records)
            self._ringer.ring()
            if self._may_prepare and self._position > self._capacity // 4:
                self._prepare_ahead()
            return self.end - 1

    def close(self) -> None:
        """Give up the lease; what was prepared is removed."""
        with self._lock:
            if self._preparation is not None:
                self._preparation.cancel()
                self._preparation = None
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self._ringer.close()
            self._lease.release()

    def _write(self, data: bytes) -> None:
        try:
            write_all(self._fd, data, self._position)
            sync_data(self._fd)
            if not self._folder_synced:
                sync_folder(self._folder.path)
                self._folder_synced = True
        except OSError:
            # What was not acknowledged should not be found after a restart.
            with suppress(OSError):
                write_all(self._fd, bytes(min(len(data), BLOCK_HEADER)), self._position)
            raise

    def _roll(self, length: int) -> SegmentHeader:
        size = max(self._segment_bytes, HEADER_BYTES + length)
        if size > self._max_bytes:
            raise UserError(
                f"feed {self._folder.feed!r}: an append of {length} bytes is larger than the journal may be; "
                "append fewer records at a time or raise journal.max_bytes"
            )
        retention.make_room(self._folder, size, self._max_bytes)
        preparation = self._preparation
        if preparation is None or preparation.size != size:
            if preparation is not None:
                preparation.cancel()
            preparation = Preparation(self._folder.preparing, size)
        self._preparation = None
        fd = preparation.take()
        header = SegmentHeader.fresh(self.end, self.end if self._lost_from is None else self._lost_from)
        try:
            write_all(fd, header.encode(), 0)
            sync_data(fd)
            self._folder.preparing.rename(self._folder.segment(self.end))
        except OSError:
            os.close(fd)
            self._folder.preparing.unlink(missing_ok=True)
            raise
        self._adopt(fd, header, HEADER_BYTES)
        self._folder_synced, self._lost_from = False, None
        self._may_prepare = self._segment_bytes > _SMALL
        return header

    def _adopt(self, fd: int, header: SegmentHeader, position: int) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._header, self._position = fd, header, position
        self._capacity = os.fstat(fd).st_size

    def _prepare_ahead(self) -> None:
        self._may_prepare = False
        with suppress(JournalFull, OSError):
            retention.make_room(self._folder, self._segment_bytes, self._max_bytes)
            self._preparation = Preparation(self._folder.preparing, self._segment_bytes)
            self._preparation.start()

    def _recover(self) -> None:
        try:
            self._folder.preparing.unlink(missing_ok=True)
            found = self._lease.found
            given_out = max([found.end if found else 0, *(at + 1 for at in positions.load(self._folder).values())])
            segments = self._folder.first_offsets()
            self.end = self._open_last(segments[-1]) if segments else given_out
            torn = self._header is None
            if self.end < given_out:
                structlog.get_logger(__name__).error(
                    "journal_records_lost", feed=self._folder.feed, first=self.end, last=given_out - 1
                )
                self._lost_from, self.end = self.end, given_out
                # Readers must be able to pass over the hole as soon as the mark lies behind it.
                self._roll(0)
                if segments and torn:
                    self._folder.segment(segments[-1]).unlink()
            self._lease.publish(self.end)
        except OSError as error:
            raise explained(error, self._folder.path) from None

    def _open_last(self, segment: int) -> int:
        cursor = Cursor(self._folder, segment, _EVERYTHING)
        try:
            cursor.read(1, _EVERYTHING)
            if cursor.header is None:
                return cursor.offset
            behind = cursor.contradiction()
            if behind is not None:
                raise IntegrityError(
                    f"{cursor.path} cannot be read at byte {cursor.position} (record {cursor.offset}), yet "
                    f"the records at byte {behind} are whole; restore it from a backup"
                )
            self._adopt(os.open(cursor.path, os.O_RDWR), cursor.header, cursor.position)
            self._may_prepare = self._segment_bytes > _SMALL
        finally:
            cursor.close()
        self._clear_tail()
        return cursor.offset

    def _clear_tail(self) -> None:
        for position in range(self._position, self._capacity, len(_ZEROS)):
            rest = os.pread(self._fd, min(len(_ZEROS), self._capacity - position), position)
            if rest != _ZEROS[: len(rest)]:
                write_all(self._fd, _ZEROS[: len(rest)], position)
        sync_data(self._fd)
