"""The embedded server's files: made once, started as often as needed. The standard library only."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.ledger.privileges import CANNOT_REACH, Account, spawn, unprivileged

USER = "tidemill"
DATABASES = ("tidemill", "lake")

_START_SECONDS = 300.0
_STOP_SIGNALS = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))
_INITDB = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--no-locale",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--data-checksums",
    "--no-instructions",
    # One call for all files instead of a thousand; only Linux has it.
    *(("--sync-method=syncfs",) if sys.platform == "linux" else ()),
)
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "fsync": "on",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "huge_pages": "off",
    "jit": "off",
    # Workers for asynchronous reads are three more processes, for files that fit into memory.
    "io_method": "sync",
    "logging_collector": "off",
    "cluster_name": "tidemill",
}


class Failed(Exception):  # noqa: N818 - reads as a verdict; the errors of core need more than the standard library
    """Report that the server cannot be made or started; ``by_user`` where the user can mend it."""

    def __init__(self, text: str, by_user: bool = False) -> None:
        super().__init__(text)
        self.by_user = by_user


@dataclass(frozen=True, slots=True)
class Cluster:
    """Name the folder of a server (``ledger``) and the folder of PostgreSQL's programs (``binaries``)."""

    ledger: Path
    binaries: Path

    @property
    def pgdata(self) -> Path:
        """Give the folder of PostgreSQL's own files."""
        return self.ledger / "pgdata"

    def create(self) -> None:
        """Run initdb and create the databases, unless that is done; a half-made cluster is never seen."""
        if self.pgdata.exists():
            return
        _check_user()
        new, pwfile = self.ledger / "pgdata.new", self.ledger / "password.initdb"
        _remove(new)
        pwfile.unlink(missing_ok=True)
        account = unprivileged(new)
        try:
            new.mkdir(mode=0o700)
            pwfile.touch(mode=0o600, exist_ok=False)
            pwfile.write_text((self.ledger / "password").read_text("ascii"), "ascii")
            if account:
                os.chown(new, account.uid, account.gid)
                os.chown(pwfile, account.uid, account.gid)
            self._initdb(new, pwfile, account)
            self._create_databases(new, account)
        finally:
            pwfile.unlink(missing_ok=True)
        new.rename(self.pgdata)
        _sync_folder(self.ledger)

    def _initdb(self, new: Path, pwfile: Path, account: Account | None) -> None:
        # The password file is opened by initdb as the account; its folder may be searched thanks to `spawn`.
        self._run(
            ["initdb", "-D", str(new), "-U", USER, f"--pwfile={pwfile}", *_INITDB],
            account,
            [new, self.binaries, self.ledger],
        )

    def _create_databases(self, new: Path, account: Account | None) -> None:
        read, write = os.pipe()
        try:
            os.write(write, "".join(f"CREATE DATABASE {name};\n" for name in DATABASES).encode())
            os.close(write)
            self._run(
                ["postgres", "--single", "-D", str(new), "-c", "io_method=sync", "postgres"],
                account,
                [new, self.binaries],
                read,
            )
        finally:
            os.close(read)

    def _run(self, argv: list[str], account: Account | None, needs: list[Path], stdin: int = -1) -> None:
        pid = spawn([str(self.binaries / argv[0]), *argv[1:]], account, needs, _environ(), stdin)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise _failure(argv[0], code)

    def start(self) -> tuple[int, int]:
        """Start the server and wait until it answers; give its pid and its port on 127.0.0.1.

        The caller is the server's parent: one thread, to the end. Raise `Failed` when it does not come up.
        """
        account = unprivileged(self.pgdata)
        code = 0
        # A port that was free may be taken a moment later; the memory of a killed server takes a moment to go.
        for pause in (0.0, 0.1, 0.3, 1.0, 2.0):
            time.sleep(pause)
            port = _free_port()
            options = [f"--{key}={value}" for key, value in {**_OPTIONS, "port": str(port)}.items()]
            argv = [str(self.binaries / "postgres"), "-D", str(self.pgdata), *options]
            pid = spawn(argv, account, [self.pgdata, self.binaries], _environ())
            ended = self._await_ready(pid)
            if ended is None:
                return pid, port
            code = ended
            if code == CANNOT_REACH:
                break
        raise _failure("postgres", code)

    def _await_ready(self, pid: int) -> int | None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            # The eighth line of postmaster.pid is what pg_ctl waits for, too.
            lines = self._pid_file()
            if len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready":
                return None
            time.sleep(0.002)
        os.kill(pid, signal.SIGQUIT)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def stop_orphan(self) -> None:
        """Stop a server that outlived its guardian; forget the pid of one that is not there any more."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return
        pid = int(lines[0])
        for sign, seconds in _STOP_SIGNALS:
            deadline = time.monotonic() + seconds
            while self._serves(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, sign)
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        # PostgreSQL would take any process that got the pid since (a container starts counting at 1) for itself.
        if _alive(pid):
            (self.pgdata / "postmaster.pid").unlink(missing_ok=True)

    def _serves(self, pid: int) -> bool:
        needle = str(self.pgdata)
        if sys.platform == "linux":
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                return False
            return needle.encode() in words
        command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
        return needle in subprocess.run(command, capture_output=True, text=True, check=False).stdout

    def _pid_file(self) -> list[str]:
        try:
            return (self.pgdata / "postmaster.pid").read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []


def stop(pid: int) -> None:
    """Ask a server to end, ever more firmly, until the process is no more."""
    for sign, seconds in _STOP_SIGNALS:
        deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)


def _check_user() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise Failed(
            f"user id {os.geteuid()} has no entry in the system's list of users, which PostgreSQL's initdb asks for: "
            "add one (in a container: to /etc/passwd), run as another user, or set 'ledger.url'",
            by_user=True,
        ) from None


def _failure(program: str, code: int) -> Failed:
    if code == CANNOT_REACH:
        return Failed(
            "as root the ledger's server runs as 'nobody', which cannot reach the data folder here: "
            "run tidemill as a plain user or name a data folder that everyone may enter (--data)",
            by_user=True,
        )
    return Failed(f"{program} ended with code {code}")


def _environ() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            (Path(root) / name).unlink()
        for name in folders:
            (Path(root) / name).rmdir()
    folder.rmdir()
