"""The file that budgets are kept in: SQLite, since several processes write it and any of them may be killed."""

import fcntl
import os
import sqlite3
from pathlib import Path

import structlog

_log = structlog.get_logger(__name__)

NAME = "hosts.sqlite"
VERSION = 1
_BUSY_SECONDS = 5.0
_TABLE = "CREATE TABLE IF NOT EXISTS hosts (host TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID"


def opened(folder: Path | None) -> sqlite3.Connection:
    """Open the file in a folder, making both where they are missing; in memory without one.

    A file that is damaged, or of another version, is begun anew: it holds minutes of counting. Raises
    `sqlite3.Error` and `OSError`.
    """
    if folder is None:
        return _prepared(":memory:")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    # Several processes that start together must not mend, or switch to the log, at once.
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            return _prepared(str(path))
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            _log.warning("budgets_begun_anew", path=str(path), why=str(error))
            for suffix in ("", "-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            return _prepared(str(path))
    finally:
        os.close(lock)


def _prepared(path: str) -> sqlite3.Connection:
    file = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        version = file.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute(_TABLE)
            file.execute(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"it is of version {version}, this Tidemill writes {VERSION}")
        (sound,) = file.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise sqlite3.DatabaseError(sound)
    except BaseException:
        file.close()
        raise
    return file
