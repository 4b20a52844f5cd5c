"""Who writes a feed, and how far what was written is durable.

The file ``writer`` of a feed carries both. Its lock (``flock``: freed by the kernel when the process dies, and
exclusive between two objects of one process too) is the lease. Its content is the mark: the offset up to which
records are durable. A reader stops at the mark, so it never acts on records that a power cut could still take
back. When nobody holds the lease the mark may be older than the data; a reader then makes the data durable
itself before it goes past the mark.
"""

import fcntl
import os
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from core.errors import Busy
from storage.journal.disk import sync_folder, write_all
from storage.journal.folder import FeedFolder

_FIELDS = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_SIZE = _FIELDS.size + _CRC.size
_PATIENCE_SECONDS = 5.0


class Mark(NamedTuple):
    """Hold the offset after the last durable record; not ``settled`` while a writer is still recovering."""

    end: int
    settled: bool

    def encode(self) -> bytes:
        """Give the bytes of the mark."""
        fields = _FIELDS.pack(self.end, self.settled)
        return fields + _CRC.pack(zlib.crc32(fields))


def read_mark(fd: int) -> Mark | None:
    """Read the mark; None when there is none or it is torn."""
    for _ in range(3):  # a write in between may be seen half done
        raw = os.pread(fd, _SIZE, 0)
        if len(raw) == _SIZE and _CRC.unpack_from(raw, _FIELDS.size)[0] == zlib.crc32(raw[: _FIELDS.size]):
            end, settled = _FIELDS.unpack_from(raw)
            return Mark(end, bool(settled))
    return None


class Lease:
    """Hold the right to write a feed; raise `Busy` when another holds it."""

    def __init__(self, folder: FeedFolder) -> None:
        fresh = not folder.lease.exists()
        self._fd = os.open(folder.lease, os.O_RDWR | os.O_CREAT, 0o640)
        try:
            self._lock(folder)
            self.found = read_mark(self._fd)
            self.publish(self.found.end if self.found else 0, settled=False)
            if fresh:
                sync_folder(folder.path)
        except BaseException:
            os.close(self._fd)
            raise

    def _lock(self, folder: FeedFolder) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _locked(self._fd, fcntl.LOCK_EX):
            # Readers that look at the tail of a feed without a writer share the lock for an instant.
            if not _locked(self._fd, fcntl.LOCK_SH) or time.monotonic() > deadline:
                raise Busy(f"feed {folder.feed!r} is being written by another recorder; stop that one first")
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            time.sleep(0.002)

    def publish(self, end: int, *, settled: bool = True) -> None:
        """Let readers see the records before ``end``; they must be durable."""
        write_all(self._fd, Mark(end, settled).encode(), 0)

    def release(self) -> None:
        """Give the lease back."""
        os.close(self._fd)


class Tenancy:
    """Look at a feed's lease from a reader's side."""

    def __init__(self, folder: FeedFolder) -> None:
        self._folder = folder
        self._fd: int | None = None

    def mark(self) -> Mark | None:
        """Give the mark, None when there is none."""
        if self._fd is None:
            try:
                self._fd = os.open(self._folder.lease, os.O_RDONLY)
            except FileNotFoundError:
                return None
        return read_mark(self._fd)

    @contextmanager
    def vacant(self) -> Iterator[bool]:
        """Say whether nobody writes the feed, and keep it so inside the ``with``."""
        if self._fd is None:
            yield True
            return
        free = _locked(self._fd, fcntl.LOCK_SH)
        try:
            yield free
        finally:
            if free:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _locked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
