"""What the journal asks of the disk, with failures sorted by what the operator does next."""

import errno
import fcntl
import os
from pathlib import Path

from core.errors import TidemillError, TransientError, UserError

_FULLFSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def sync_data(fd: int) -> None:
    """Wait until the written bytes of ``fd`` are on the medium."""
    # macOS has no fdatasync, and its fsync stops at the drive's cache.
    if _FULLFSYNC is not None:
        fcntl.fcntl(fd, _FULLFSYNC)
    else:
        os.fdatasync(fd)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder (created, renamed, unlinked files) are on the medium."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview, position: int) -> None:
    """Write all of ``data`` at ``position``; a disk that fills half-way raises `OSError`."""
    written = os.pwrite(fd, data, position)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], position + written)


def replace_durably(path: Path, data: bytes) -> None:
    """Replace the file's content atomically; after a crash it holds the old content or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        try:
            write_all(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its parents, durably."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def explained(error: OSError, path: Path) -> TidemillError:
    """Give the typed error for a failure to write below ``path``."""
    if error.errno in _FORBIDDEN:
        return UserError(
            f"cannot write the journal {path}: {error.strerror}; give this user the right to write there"
        )
    if error.errno in _FULL:
        return TransientError(
            f"no room to write the journal {path}: {error.strerror}; free some space, "
            "nothing that was stored is damaged"
        )
    return TransientError(f"cannot write the journal {path}: {error.strerror}; nothing that was stored is damaged")
