"""The next segment's file, filled with zeros before it is needed.

A commit into blocks that are already allocated and written changes no metadata: it costs half of one that makes
the file grow.
"""

import os
from pathlib import Path
from threading import Event, Thread

from storage.journal.disk import sync_data, write_all

_CHUNK = bytes(1 << 20)


class Preparation:
    """Prepare a file of ``size`` zeros at ``path``, in a thread or at once."""

    def __init__(self, path: Path, size: int) -> None:
        self._path, self.size = path, size
        self._fd = -1
        self._stop = Event()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin in the background; a failure shows as a file that is not there and is made when taken."""
        self._thread = Thread(target=self._try, name="journal-preparation", daemon=True)
        self._thread.start()

    def take(self) -> int:
        """Give the descriptor of the finished file, which is the caller's now; raises `OSError`."""
        self._join()
        if self._fd < 0:
            self._fill()
        fd, self._fd = self._fd, -1
        return fd

    def cancel(self) -> None:
        """Stop, and remove the file."""
        self._stop.set()
        self._join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._path.unlink(missing_ok=True)

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _try(self) -> None:
        try:
            self._fill()
        except OSError:
            return

    def _fill(self) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            for position in range(0, self.size, len(_CHUNK)):
                if self._stop.is_set():
                    break
                write_all(fd, memoryview(_CHUNK)[: self.size - position], position)
                # Small steps, so that a commit beside it does not wait behind a long queue of zeros.
                sync_data(fd)
            os.fsync(fd)
        except OSError:
            os.close(fd)
            self._path.unlink(missing_ok=True)
            raise
        self._fd = fd
