"""Waking readers in other processes: a FIFO per reader, into which the writer drops a byte.

A FIFO whose reader was killed has no reading end; the writer finds that when it rings, and removes it.
"""

import contextlib
import errno
import os
import secrets
import select
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from core.errors import TransientError
from storage.journal.disk import explained

_NEW = ".new"
_BYTES = 4096
_STEP_NS = 50_000_000


class Doorbell:
    """Wait for a feed's next append without polling.

    Open it before reading: what is appended after the last read that found nothing makes `wait` return at
    once. Not to be shared between threads.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(6)}"
        self._reading, self._writing = -1, -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._hang()
        except OSError as error:
            self.close()
            raise explained(error, folder) from None
        self._poll = select.poll()
        self._poll.register(self._reading, select.POLLIN)

    def _hang(self) -> None:
        fresh = self._path.with_name(self._path.name + _NEW)
        for _ in range(100):
            try:
                os.mkfifo(fresh, 0o620)
                self._reading = os.open(fresh, os.O_RDONLY | os.O_NONBLOCK)
                # Our own writing end keeps the FIFO from reporting its end when a writer goes away.
                self._writing = os.open(fresh, os.O_WRONLY | os.O_NONBLOCK)
                # It gets the name that writers ring only now that it has a reading end.
                fresh.rename(self._path)
            except FileNotFoundError:  # a writer took it for one that was left behind
                self.close()
            else:
                return
        raise TransientError(f"cannot hang a doorbell in {self._path.parent}: it is removed again and again")

    def fileno(self) -> int:
        """Give the descriptor that becomes readable when the bell rings, for waiting on several at once."""
        return self._reading

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until an append since the last call, or the time is over; say whether there was one."""
        if not self._poll.poll(max(0.0, timeout_seconds) * 1000):
            return False
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._reading, _BYTES)) == _BYTES:
                pass
        return True

    def close(self) -> None:
        """Take the bell down."""
        for fd in (self._reading, self._writing):
            if fd >= 0:
                os.close(fd)
        self._reading, self._writing = -1, -1
        for path in (self._path, self._path.with_name(self._path.name + _NEW)):
            path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Ringer:
    """Ring every doorbell of a feed, from the writer's side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = -1
        self._bells: dict[Path, int] = {}

    def ring(self) -> None:
        """Wake all readers; costs a ``stat`` and a small write per reader."""
        try:
            changed = self._folder.stat().st_mtime_ns
        except OSError:
            return
        if changed != self._seen:
            self._look(changed)
        for path, fd in list(self._bells.items()):
            try:
                os.write(fd, b"\a")
            except BlockingIOError:
                pass  # it is full: the reader has not yet answered the rings before
            except OSError:
                self._remove(path)

    def _look(self, changed: int) -> None:
        try:
            present = set(self._folder.iterdir())
        except OSError:
            return
        for path in self._bells.keys() - present:
            os.close(self._bells.pop(path))
        for path in present - self._bells.keys():
            try:
                fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    path.unlink(missing_ok=True)
                continue
            if path.name.endswith(_NEW):
                os.close(fd)
            else:
                self._bells[path] = fd
        # A folder's time moves in steps: a bell hung in the same step as this look would go unseen.
        self._seen = changed if time.time_ns() - changed > _STEP_NS else -1

    def _remove(self, path: Path) -> None:
        os.close(self._bells.pop(path))
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the bells."""
        for fd in self._bells.values():
            os.close(fd)
        self._bells = {}
