import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from core.errors import TransientError, UserError
from core.settings import LedgerSettings, Settings
from storage.data_folder import DataFolder
from storage.ledger.server import serve

SETTINGS = Settings(ledger=LedgerSettings())
USE = """
import sys
from pathlib import Path
from core.settings import LedgerSettings, Settings
from storage.data_folder import DataFolder
from storage.ledger.server import serve
with serve(Settings(ledger=LedgerSettings()), DataFolder(Path(sys.argv[1]))) as address:
    print(address.port, flush=True)
    sys.stdin.read()
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise to end orphans is Linux's")


class User:
    """A process of its own that uses the server until it is told to leave."""

    def __init__(self, folder: DataFolder) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE, str(folder.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def port(self) -> int:
        return int(self.process.stdout.readline())

    def leave(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def user(folder: DataFolder) -> Iterator[User]:
    user = User(folder)
    try:
        yield user
    finally:
        user.kill()


@pytest.fixture
def folder(tmp_path) -> DataFolder:
    return DataFolder(tmp_path / "data")


def note(folder: DataFolder) -> dict[str, int]:
    told = json.loads((folder.ledger / "server.json").read_text())
    return {name: told[name] for name in ("guardian", "server")}


def kill_all(pids: dict[str, int]) -> None:
    """Kill guardian, postmaster and every process of the server, as a power cut or an OOM killer would."""
    server = pids["server"]
    os.kill(pids["guardian"], signal.SIGSTOP)
    os.kill(server, signal.SIGSTOP)
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children = [int(pid) for pid, parent in map(str.split, listing.splitlines()) if int(parent) == server]
    for pid in (*children, server, pids["guardian"]):
        os.kill(pid, signal.SIGKILL)


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    if sys.platform != "linux":
        return True
    # A process that has ended, but was not waited for yet by whoever adopted it, is no process any more.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def await_end(*pids: int) -> None:
    deadline = time.monotonic() + 60
    while any(running(pid) for pid in pids):
        assert time.monotonic() < deadline, f"{pids} still run"
        time.sleep(0.01)


def execute(address, statement):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def test_the_server_lives_as_long_as_its_use_and_keeps_what_was_written(folder):
    with serve(SETTINGS, folder) as address:
        pids = note(folder)
        execute(address, "CREATE TABLE t AS SELECT 1 AS x")
        for database in (address.ledger_db, address.lake_db):
            with psycopg.connect(address.conninfo(database)) as connection:
                settings = "SELECT current_setting('data_checksums'), current_setting('fsync'), pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"  # noqa: E501 - one statement
                assert connection.execute(settings).fetchone() == ("on", "on", "UTF8")
    assert not running(pids["server"])
    assert not running(pids["guardian"])
    assert not (folder.ledger / "server.json").exists()
    with pytest.raises(ChildProcessError):
        os.waitpid(pids["guardian"], os.WNOHANG)
    with serve(SETTINGS, folder) as address:
        assert execute(address, "SELECT x FROM t") == [(1,)]


def test_all_who_come_share_one_server_and_the_last_one_ends_it(folder):
    with ExitStack() as stack:
        users = [stack.enter_context(user(folder)) for _ in range(3)]
        assert len({u.port() for u in users}) == 1
        pids = note(folder)
        users[0].leave()
        users[1].kill()
        with serve(SETTINGS, folder) as address:
            assert execute(address, "SELECT 1") == [(1,)]
            assert note(folder) == pids
        assert running(pids["server"])
        users[2].leave()
        assert not running(pids["server"])
        assert not running(pids["guardian"])


def test_a_killed_user_leaves_nothing_behind_and_a_newcomer_is_served(folder):
    for _ in range(3):
        with user(folder) as first:
            assert first.port()
            pids = note(folder)
        with serve(SETTINGS, folder) as address:
            assert execute(address, "SELECT 1") == [(1,)]
        await_end(*pids.values())


def test_what_was_committed_survives_the_kill_of_the_server_and_its_guardian(folder):
    with serve(SETTINGS, folder) as address:
        execute(address, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS x")
        pids = note(folder)
        with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
            connection.execute("INSERT INTO t VALUES (0)")
            kill_all(pids)
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
            connection.close()
    with serve(SETTINGS, folder) as address:
        assert execute(address, "SELECT count(*), min(x) FROM t") == [(1000, 1)]
        assert note(folder) != pids
    await_end(*pids.values())


def test_the_kill_of_the_server_alone_ends_its_guardian_and_the_next_user_starts_another(folder):
    with serve(SETTINGS, folder):
        pids = note(folder)
        os.kill(pids["server"], signal.SIGKILL)
        await_end(pids["server"])
        deadline = time.monotonic() + 60
        while (folder.ledger / "server.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with serve(SETTINGS, folder) as again:
            assert execute(again, "SELECT 1") == [(1,)]
            assert note(folder)["server"] != pids["server"]
            last = note(folder)
    await_end(*last.values())


@linux
def test_the_kill_of_the_guardian_ends_the_server(folder):
    with serve(SETTINGS, folder):
        pids = note(folder)
        os.kill(pids["guardian"], signal.SIGKILL)
        await_end(pids["server"])
        with serve(SETTINGS, folder) as again:
            assert execute(again, "SELECT 1") == [(1,)]


def test_a_start_that_was_killed_in_the_middle_is_begun_anew(folder):
    for patience in (0.02, 0.1, 0.2, 0.3):
        with user(folder) as impatient:
            time.sleep(patience)
            impatient.kill()
    with serve(SETTINGS, folder) as address:
        assert execute(address, "SELECT 1") == [(1,)]


def test_a_guardian_that_finds_another_one_leaves_the_server_to_it(folder):
    with serve(SETTINGS, folder):
        pass
    # As a guardian does whose starter was killed before it had the lock: it comes between asking and starting.
    other = os.open(folder.ledger / "guardian", os.O_RDWR)
    fcntl.flock(other, fcntl.LOCK_SH)
    release = threading.Timer(0.5, fcntl.flock, (other, fcntl.LOCK_UN))
    release.start()
    with serve(SETTINGS, folder) as address:
        assert execute(address, "SELECT 1") == [(1,)]
    release.join()
    os.close(other)


def test_the_pid_of_another_process_in_an_old_pid_file_does_not_matter(folder):
    path = folder.ledger / "pgdata" / "postmaster.pid"
    with serve(SETTINGS, folder):
        lines = path.read_text().splitlines()
        owner = path.stat().st_uid
    # Of the server's own user: PostgreSQL takes such a process for another postmaster and refuses to start.
    with subprocess.Popen(["sleep", "60"], user=owner) as other:
        path.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        with serve(SETTINGS, folder) as address:
            assert execute(address, "SELECT 1") == [(1,)]
        assert other.poll() is None
        other.kill()


@linux
def test_the_password_is_nowhere_but_in_its_file(folder):
    with serve(SETTINGS, folder) as address:
        secret = address.password.get_secret_value()
        path = folder.ledger / "password"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.read_text() == secret
        for pid in note(folder).values():
            for name in ("cmdline", "environ"):
                assert secret.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()
    found = [p for p in folder.path.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert found == [path]


def test_who_has_no_password_is_not_let_in(folder):
    with serve(SETTINGS, folder) as address:
        wrong = f"host=127.0.0.1 port={address.port} user={address.user} dbname=tidemill"
        for password in ("", " password=wrong"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(wrong + password)


def test_a_server_that_cannot_start_says_why(folder):
    with serve(SETTINGS, folder):
        pass
    (folder.ledger / "pgdata" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(TransientError, match=r"did not start.*server\.log.*pg_control"), serve(SETTINGS, folder):
        pass
    assert not (folder.ledger / "server.json").exists()


def test_a_server_of_ones_own_is_used_and_given_the_lakes_database(folder, tmp_path):
    with serve(SETTINGS, folder) as own:
        secret = own.password.get_secret_value()
        url = f"postgresql://{own.user}:{secret}@{own.host}:{own.port}/{own.ledger_db}"
        settings = Settings(ledger=LedgerSettings(url=SecretStr(url)))
        nothing = DataFolder(tmp_path / "other")
        for _ in range(2):
            with serve(settings, nothing) as address:
                assert address.lake_db == "tidemill_lake"
                with psycopg.connect(address.conninfo(address.lake_db)) as connection:
                    assert connection.execute("SELECT 1").fetchone() == (1,)
        assert not nothing.exists
        wrong = Settings(ledger=LedgerSettings(url=SecretStr(url.replace(secret, "hunter2"))))
        with pytest.raises(UserError, match=r"ledger\.url") as caught, serve(wrong, nothing):
            pass
        assert "hunter2" not in str(caught.value)
    with pytest.raises(TransientError, match="cannot be reached") as caught, serve(settings, nothing):
        pass
    assert secret not in str(caught.value)
