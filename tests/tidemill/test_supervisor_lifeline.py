import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.errors import UserError
from core.settings import FeedSettings, LedgerSettings, Settings, StrategySettings
from tidemill.lifeline import receive, settings_line

PARENT = """
import os, sys, time
from pathlib import Path
from tidemill.child import Spec
from tidemill.supervisor import Supervisor
from tidemill.lifeline import settings_line
from core.settings import Settings
folder = Path(sys.argv[1])
argv = lambda fd: [sys.executable, "-P", str(folder / "child.py"), str(fd), *sys.argv[2:]]
specs = [Spec(n, argv, folder / f"{n}.log", settings_line(Settings())) for n in ("a", "b")]
supervisor = Supervisor(specs)
supervisor.start()
time.sleep(120)
"""
CHILD = """
import os, signal, sys, time
from tidemill.lifeline import receive
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
receive(int(sys.argv[1]))
print(os.getpid(), flush=True)
time.sleep(120)
"""


def test_settings_come_out_as_they_went_in_secrets_included() -> None:
    settings = Settings(
        data=Path("some where/däta"),
        ledger=LedgerSettings(url=SecretStr("postgresql://me:p%40ss@host/db")),
        strategies=(StrategySettings(name="rsi", params={"length": 21, "oversold": 25.5}),),
        feeds=(FeedSettings(name="x", venue="binance", instruments=("binance:BTC-USDT",)),),
    )
    read, write = os.pipe()
    os.write(write, settings_line(settings))
    got = receive(read)
    assert got == settings
    assert got.ledger.url.get_secret_value() == "postgresql://me:p%40ss@host/db"
    assert not os.get_inheritable(read)


@pytest.mark.parametrize("told", [b"", b'{"data": "half'])
def test_a_supervisor_that_went_away_too_early_is_told(told: bytes) -> None:
    read, write = os.pipe()
    os.write(write, told)
    os.close(write)
    with pytest.raises(UserError, match="went away"):
        receive(read)
    os.close(read)


def test_a_descriptor_that_is_none_is_told() -> None:
    with pytest.raises(UserError, match="--lifeline 987 is no pipe"):
        receive(987)


@pytest.mark.parametrize("deaf", [False, True], ids=["hears", "deaf"])
def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path, deaf: bool) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "parent.py").write_text(PARENT)
    argv = [sys.executable, "-P", str(tmp_path / "parent.py"), str(tmp_path), *(["deaf"] if deaf else [])]
    parent = subprocess.Popen(argv)
    try:
        logs = [tmp_path / "a.log", tmp_path / "b.log"]
        deadline = time.monotonic() + 60
        while not all(log.exists() and log.read_text().strip().isdigit() for log in logs):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pids = [int(log.read_text()) for log in logs]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 60
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline, "a child is left behind"
            time.sleep(0.02)
    finally:
        parent.kill()
        parent.wait()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # One that has ended and that nobody reaps, as in a container without an init, is none.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return Path("/proc/self").exists() is False
    except ProcessLookupError:
        return False
