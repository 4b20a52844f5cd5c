"""The whole system, as real processes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from core.errors import TransientError
from storage.data_folder import DataFolder
from tidemill.endpoint import ask, listen
from tidemill.liveness import resolved
from tidemill.run_files import read

FREE_PORTS = {
    "TIDEMILL_METRICS__PORT": "0",
    "TIDEMILL_SIMULATOR__PORT": "0",
    "TIDEMILL_SIMULATOR__HISTORY_HOURS": "1",
}


pytestmark = pytest.mark.xdist_group("up")


class Running:
    """One `tidemill up` and its output."""

    def __init__(self, process: subprocess.Popen[str], folder: DataFolder) -> None:
        self.process, self.folder = process, folder

    def tell(self, path: str, component: str = "supervisor") -> Any:
        file = read(self.folder, component)
        with suppress(TransientError):
            return ask(file.port, path, 5) if file else None
        return None

    def pids(self) -> dict[str, int]:
        return {child["name"]: child["pid"] for child in self.tell("/children") or () if child["pid"]}

    def end(self, number: int, seconds: float = 60) -> tuple[int, str]:
        self.process.send_signal(number)
        out, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, out


@contextmanager
def upped(data: Path, *words: str, **more: str) -> Iterator[Running]:
    argv = [sys.executable, "-P", "-m", "tidemill", "--data", str(data), "up", *words]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEMILL_")} | FREE_PORTS | more
    process = subprocess.Popen(
        argv, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=data.parent
    )
    try:
        yield Running(process, DataFolder(data))
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One system for the tests that leave it running."""
    with ExitStack() as stack:
        running = stack.enter_context(upped(tmp_path_factory.mktemp("up") / "data"))
        until(lambda: traded(running))
        yield running


def traded(running: Running) -> bool:
    board = running.tell("/board", "market")
    return bool(board and board["instruments"] and all(row["price"] for row in board["instruments"]))


def until(true: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.05)


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # One that nobody reaps, as in a container without an init, has ended too.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        return Path("/proc/self").exists()


def failed(data: Path, *words: str, **more: str) -> tuple[int, str]:
    with upped(data, *words, **more) as running:
        out, _ = running.process.communicate(timeout=60)
        return running.process.returncode, out


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (("--feed", "binanse"), {}, "unknown feed 'binanse': did you mean 'binance'"),
        (("--for", "an hour"), {}, "--for 'an hour' is no duration"),
        (
            (),
            {"TIDEMILL_STRATEGIES": '[{"name": "rsy"}]'},
            "setting 'strategies.0': unknown strategy 'rsy': did you mean 'rsi'",
        ),
        ((), {"TIDEMILL_SIMULATOR__PROT": "1"}, "did you mean 'TIDEMILL_SIMULATOR__PORT'"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line_and_nothing_is_made(
    tmp_path: Path, words: tuple[str, ...], more: dict[str, str], said: str
) -> None:
    code, out = failed(tmp_path / "data", *words, **more)
    assert (code, out.count("\n")) == (2, 1)
    assert said in out
    assert not (tmp_path / "data").exists()


def test_a_misspelt_setting_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tidemill.toml").write_text("[simulater]\nport = 1\n")
    code, out = failed(tmp_path / "data")
    assert (code, "did you mean 'simulator'" in out, (tmp_path / "data").exists()) == (2, True, False)


@pytest.mark.parametrize("setting", ["metrics", "simulator"])
def test_a_port_in_use_is_named_with_its_setting_and_nothing_is_made(tmp_path: Path, setting: str) -> None:
    with listen(0, "x") as taken:
        port = taken.getsockname()[1]
        code, out = failed(tmp_path / "data", **{f"TIDEMILL_{setting.upper()}__PORT": str(port)})
    assert code == 2
    assert re.search(rf"port {port} on 127.0.0.1 cannot be used .*'{setting}.port'", out)
    assert not (tmp_path / "data").exists()


def test_every_component_is_healthy_and_the_market_is_there(system: Running) -> None:
    names = ["ledger", "simulator", "recorder", "market", "reviser"]
    assert list(system.pids()) == names
    until(lambda: all((system.tell("/health", name) or {}).get("state") == "healthy" for name in names))
    market = ["simulated:BTC-USDT", "simulated:ETH-USDT", "simulated:SOL-USDT"]
    # One after the other: the market may be healthy while the last one's past is still on its way to it.
    until(lambda: [row["instrument"] for row in system.tell("/board", "market")["instruments"]] == market)


def test_the_settings_it_runs_with_are_kept_without_secrets(system: Running) -> None:
    assert resolved(system.folder).simulator.history_hours == 1
    # Where the simulator listens is no setting: another start may get another port.
    assert resolved(system.folder).feeds[0].websocket_url is None


def test_a_second_one_is_refused_and_told_who_runs(system: Running) -> None:
    code, out = failed(system.folder.path, TIDEMILL_METRICS__PORT=str(read(system.folder, "supervisor").port))
    assert code == 1
    assert f"is written by process {system.process.pid} (up)" in out
    assert system.process.poll() is None


@pytest.mark.parametrize("name", ["simulator", "recorder", "market"])
def test_a_component_that_is_killed_is_started_again_and_trades_go_on(system: Running, name: str) -> None:
    before = system.pids()
    os.kill(before[name], signal.SIGKILL)
    until(lambda: system.pids().get(name) not in (None, before[name]))
    figures = system.tell("/health")["figures"]
    assert figures[f"{name}_restarts"] >= 1
    assert {k: v for k, v in system.pids().items() if k != name} == {k: v for k, v in before.items() if k != name}
    last = system.tell("/health", "recorder") or {"figures": {}}
    offset = last["figures"].get("simulated last_offset", 0)
    until(
        lambda: ((system.tell("/health", "recorder") or last)["figures"].get("simulated last_offset") or 0) > offset
    )
    until(lambda: traded(system))


def test_it_stops_in_good_order_when_told(system: Running) -> None:
    pids = system.pids()
    code, out = system.end(signal.SIGTERM)
    assert code == 0, out
    assert out.endswith(f"stopped; the data is in {system.folder.path}\n")
    assert all(ended(pid) for pid in pids.values())
    assert [path.name for path in system.folder.run.iterdir()] == ["settings.json"]
    with system.folder.hold("test"):
        pass


def test_it_ends_by_itself_after_its_time_also_while_it_starts(tmp_path: Path) -> None:
    with upped(tmp_path / "data", "--for", "1s", "--plain") as running:
        out, _ = running.process.communicate(timeout=90)
        assert running.process.returncode == 0, out
    for log in (tmp_path / "data" / "logs").iterdir():
        assert "Traceback" not in log.read_text()


def test_no_process_outlives_one_that_is_killed(tmp_path: Path) -> None:
    with upped(tmp_path / "data") as running:
        until(lambda: len(running.pids()) == 5)
        pids = [*running.pids().values(), read(running.folder, "supervisor").pid]
        running.process.kill()
        running.process.communicate()
    until(lambda: all(map(ended, pids)))
    with running.folder.hold("test"):
        pass
    guardian = running.folder.ledger / "server.json"
    until(lambda: not guardian.exists())
