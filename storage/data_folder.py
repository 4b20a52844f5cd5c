"""The data folder: where everything that Tidemill keeps on this machine lies."""

import errno
import fcntl
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import Busy, UserError
from core.settings import Settings

VERSION = 1
"""The layout that this version of Tidemill reads and writes."""

MIN_FREE_BYTES = 64 * 1024 * 1024
"""Less free space than this is refused at the start, rather than met in the middle of a commit."""

_MARK = "tidemill.version"
_OWN_PREFIX = ".tidemill."
_NOT_CONTENT = {"lost+found"}


@dataclass(frozen=True, slots=True)
class DataFolder:
    """Name the places of a data folder; nothing is touched before `prepare`, `hold` or a server's start.

    Example:
        >>> DataFolder(Path("data")).journal.as_posix()
        'data/journal'
    """

    path: Path

    @property
    def journal(self) -> Path:
        """Give the folder of the journal's segments."""
        return self.path / "journal"

    @property
    def lake(self) -> Path:
        """Give the folder of the lake's data files (unless the settings name another)."""
        return self.path / "lake"

    @property
    def ledger(self) -> Path:
        """Give the folder of the embedded PostgreSQL server."""
        return self.path / "ledger"

    @property
    def recovery(self) -> Path:
        """Give the folder of the dataflows' recovery stores."""
        return self.path / "recovery"

    @property
    def commands(self) -> Path:
        """Give the folder of the journal that operators' commands go to."""
        return self.path / "commands"

    @property
    def run(self) -> Path:
        """Give the folder where running components say who and where they are."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """Give the folder of the components' logs."""
        return self.path / "logs"

    @property
    def limits(self) -> Path:
        """Give the folder that remembers what was sent to each exchange, and which one wants nothing."""
        return self.path / "limits"

    @property
    def simulator(self) -> Path:
        """Give the folder where the simulator remembers its invented market."""
        return self.path / "simulator"

    @property
    def exists(self) -> bool:
        """Tell whether a data folder is there; nothing is created."""
        return (self.path / _MARK).is_file()

    def prepare(self) -> None:
        """Create the folder where it is missing and check that this version may use it.

        Raise `UserError` for a folder of a newer Tidemill, a folder with other content, one that cannot be
        written, or a disk with less than `MIN_FREE_BYTES` left. A folder that is refused is left as it was.
        """
        try:
            self._prepare()
        except OSError as error:
            raise UserError(f"cannot use the data folder {self.path}: {error.strerror}; {_remedy(error)}") from None

    def _prepare(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if self.exists:
            self._check_version()
        else:
            self._refuse_foreign()
        space = os.statvfs(self.path)
        if space.f_bavail * space.f_frsize < MIN_FREE_BYTES:
            raise UserError(
                f"the disk of the data folder {self.path} has less than {MIN_FREE_BYTES >> 20} MiB left: "
                "free some space or name another folder with --data"
            )
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if not self.exists:
            self._write_version()
        for folder in (self.journal, self.lake, self.ledger, self.recovery):
            folder.mkdir(exist_ok=True)

    @contextmanager
    def hold(self, command: str = "") -> Iterator[None]:
        """Be the one writing process of this folder; raise `Busy` naming the process that is it already.

        ``command`` is what a refused process is told about this one (default: the program's name). The lock
        is the kernel's and ends with the process, however that ends. Commands that only read need no hold.
        """
        self.prepare()
        lock = os.open(self.path / (_OWN_PREFIX + "writer"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(
                    f"the data folder {self.path} is written by {_holder(lock)}: "
                    "stop that process or name another folder with --data"
                ) from None
            holder = {"pid": os.getpid(), "command": command or Path(sys.argv[0]).name}
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(holder).encode(), 0)
            yield
        finally:
            os.close(lock)

    def _check_version(self) -> None:
        text = (self.path / _MARK).read_text("utf-8", errors="replace").strip()
        if not text.isascii() or not text.isdigit():
            raise UserError(f"{self.path / _MARK} does not hold a version: restore the data folder from a backup")
        if int(text) > VERSION:
            raise UserError(
                f"the data folder {self.path} was written by a newer Tidemill (layout {int(text)}, "
                f"this one knows {VERSION}): upgrade Tidemill or name another folder with --data"
            )

    def _refuse_foreign(self) -> None:
        content = [
            entry.name
            for entry in self.path.iterdir()
            if entry.name not in _NOT_CONTENT and not entry.name.startswith(_OWN_PREFIX)
        ]
        # Another process may have just made it a data folder.
        if content and not self.exists:
            raise UserError(
                f"{self.path} is not empty and no data folder of Tidemill: name an empty or a new folder with --data"
            )

    def _write_version(self) -> None:
        part = self.path / f"{_OWN_PREFIX}version.{os.getpid()}"
        with part.open("w", encoding="utf-8") as file:
            file.write(f"{VERSION}\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path / _MARK)


def _holder(lock: int) -> str:
    try:
        holder = json.loads(os.pread(lock, 4096, 0))
        return f"process {holder['pid']} ({holder['command']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


def _remedy(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some space or name another folder with --data"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "it must be a folder: name another with --data"
    return "make it writable for this user or name another folder with --data"


def limits_path(settings: Settings, folder: DataFolder) -> Path:
    """Give where what was sent to exchanges is remembered: where the settings say, else in the data folder."""
    return settings.limits or folder.limits


def lake_path(settings: Settings, folder: DataFolder) -> str:
    """Give where the lake's data files are: where the settings say, else in the data folder."""
    return settings.lake.path or str(folder.lake.resolve())
