"""The block log: what was drawn of a market, block after block, in a file that survives any crash."""

import errno
import fcntl
import os
import struct
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from core.errors import Busy, TidemillError, TransientError, UserError
from storage.journal.disk import make_folder, sync_data, sync_folder, write_all

_HEAD = struct.Struct("<II")
_LONGEST = 64 * 1024 * 1024


class BlockLog(Sequence[bytes]):
    """Append records to a file and read them by number; close it after use.

    A record is a length, a CRC-32 and the bytes. The first one that is cut off or damaged ends the log: it and
    what follows are dropped, and are to be written again. ``mark`` goes into every CRC, so that the log of another
    market counts as damaged. Raises `Busy` where another process holds the file, `UserError` where it must not be
    written and `TransientError` where there is no room; a failed append leaves the log as it was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mark = 0
        self._ends = array("q", (0,))
        try:
            make_folder(path.parent)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise explained(error, path) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Busy(f"another simulator plays the market of {path.parent}: stop it first") from None

    def load(self, mark: int) -> None:
        """Find the records, and drop what is damaged."""
        self._mark = mark
        self._ends = array("q", (0,))
        size = os.fstat(self._file).st_size
        while (end := self._whole(self._ends[-1], size)) is not None:
            self._ends.append(end)
        try:
            os.ftruncate(self._file, self._ends[-1])
            sync_data(self._file)
            sync_folder(self._path.parent)
        except OSError as error:
            raise explained(error, self._path) from None

    def extend(self, records: Sequence[bytes]) -> None:
        """Append records; they are on the medium when this returns."""
        ends = array("q")
        end = self._ends[-1]
        for record in records:
            end += _HEAD.size + len(record)
            ends.append(end)
        data = b"".join(_HEAD.pack(len(record), self._sum(record)) + record for record in records)
        try:
            write_all(self._file, data, self._ends[-1])
            sync_data(self._file)
        except OSError as error:
            raise explained(error, self._path) from None
        self._ends.extend(ends)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> bytes: ...
    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...
    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        start, end = self._ends[at], self._ends[at + 1]
        return os.pread(self._file, end - start - _HEAD.size, start + _HEAD.size)

    def _whole(self, start: int, size: int) -> int | None:
        """Give the end of the record that begins at ``start``, None where there is no whole one."""
        head = os.pread(self._file, _HEAD.size, start)
        if len(head) < _HEAD.size:
            return None
        length, crc = _HEAD.unpack(head)
        end = start + _HEAD.size + int(length)
        if length > _LONGEST or end > size:
            return None
        return end if self._sum(os.pread(self._file, length, start + _HEAD.size)) == crc else None

    def _sum(self, record: bytes) -> int:
        return zlib.crc32(record, self._mark)


def explained(error: OSError, path: Path) -> TidemillError:
    """Give the typed error for a failure to write ``path``."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return TransientError(f"no room to write {path}: {error.strerror}; free some space")
    return UserError(f"cannot write {path}: {error.strerror}; give this user the right to, or name another folder")
