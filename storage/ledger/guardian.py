"""The guardian: starts PostgreSQL, and stops it when its last user is gone, however that user ended.

Every user holds a shared lock on the file ``users``; the guardian waits for an exclusive one. The kernel
frees the locks of a killed process, so nothing has to be cleaned up by anybody. The standard library only,
for a start of a few milliseconds.
"""

import fcntl
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from storage.ledger.cluster import Cluster, Failed, stop

REPORT = 3
"""The descriptor on which the guardian tells its starter, in one JSON line, how the start went."""


def main(ledger: Path, binaries: Path) -> None:
    """Guard the server of a ledger folder until nobody uses it; the body of the guardian process."""
    _detach()
    cluster = Cluster(ledger, binaries)
    mine = os.open(ledger / "guardian", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # That of a starter which was killed came first: it guards for whoever asked for this one.
        _report({"port": 0})
        os._exit(0)
    note = ledger / "server.json"
    note.unlink(missing_ok=True)
    try:
        cluster.stop_orphan()
        cluster.create()
        server, port = cluster.start()
    except (Failed, OSError) as error:
        _report({"error": str(error), "by_user": isinstance(error, Failed) and error.by_user})
        sys.exit(1)
    signal.signal(signal.SIGTERM, lambda _sign, _frame: _fast_shutdown(server))
    _publish(note, {"port": port, "server": server, "guardian": os.getpid()})
    _report({"port": port})
    threading.Thread(target=_stop_when_unused, args=(ledger, server), daemon=True).start()
    os.waitpid(server, 0)
    # Before the locks go with this process: who gets them must not find an address that nobody serves.
    note.unlink(missing_ok=True)
    sys.stdout.flush()
    os._exit(0)


def _detach() -> None:
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    os.set_inheritable(REPORT, False)
    os.closerange(REPORT + 1, os.sysconf("SC_OPEN_MAX"))


def _stop_when_unused(ledger: Path, server: int) -> None:
    users = os.open(ledger / "users", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(users, fcntl.LOCK_EX)
    stop(server)


def _fast_shutdown(server: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGINT)


def _publish(note: Path, content: dict[str, int]) -> None:
    part = note.with_suffix(".part")
    part.write_text(json.dumps(content), "utf-8")
    part.replace(note)


def _report(content: dict[str, object]) -> None:
    # The starter may have been killed meanwhile.
    with suppress(OSError):
        os.write(REPORT, json.dumps(content).encode() + b"\n")
    os.close(REPORT)
