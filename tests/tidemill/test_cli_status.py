import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from core.health import Health
from core.settings import FeedSettings, Settings
from exchanges.budgets import Budgets, Wish
from storage.data_folder import DataFolder
from tidemill import cli
from tidemill.components import COMPONENTS
from tidemill.endpoint import described, listen, served
from tidemill.liveness import alive, components, lags, needed, resolved, supervised
from tidemill.run_files import announced

HEALTHY = Health()

pytestmark = pytest.mark.xdist_group("status")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    found = DataFolder(tmp_path / "data")
    found.prepare()
    return found


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def running(folder: DataFolder, name: str, health: Health = HEALTHY, **routes: Any) -> Iterator[int]:
    """Run a component's endpoint in this process."""
    with ExitStack() as stack:
        listening = listen(0, "metrics.port")
        told = stack.enter_context(announced(folder, name, listening.getsockname()[1]))
        tell = {"/health": described(name, told.started, lambda: health)}
        tell |= {f"/{route}": (lambda value=value: value) for route, value in routes.items()}
        yield stack.enter_context(served(listening, CollectorRegistry(), tell))


def write_run_file(folder: DataFolder, name: str, pid: int, port: int) -> None:
    folder.run.mkdir(exist_ok=True)
    file = {"component": name, "pid": pid, "port": port, "started": time.time_ns() // 1000}
    (folder.run / f"{name}.json").write_text(json.dumps(file))


def ended() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def asked(folder: DataFolder, name: str) -> Any:
    return next(one for one in components(folder, COMPONENTS) if one.name == name)


def test_what_was_never_started_is_not_running(folder: DataFolder) -> None:
    found = components(folder, COMPONENTS)
    assert [one.name for one in found] == list(COMPONENTS)
    assert {(one.running, one.state, one.why) for one in found} == {(False, "down", ("not running",))}
    assert not folder.run.exists()


def test_a_component_says_how_it_is(folder: DataFolder) -> None:
    with running(folder, "recorder", Health("degraded", ("the clock is off",), {"trades": 7})) as port:
        found = asked(folder, "recorder")
        assert (found.running, found.state, found.why) == (True, "degraded", ("the clock is off",))
        assert (found.pid, found.address) == (os.getpid(), f"http://127.0.0.1:{port}")
        assert found.figures["trades"] == 7
        assert found.rss_bytes > 1_000_000
        assert 0 <= found.uptime_s < 60
    assert not asked(folder, "recorder").running


def test_a_killed_component_is_down(folder: DataFolder) -> None:
    pid = ended()
    write_run_file(folder, "market", pid, 9)
    found = asked(folder, "market")
    assert (found.running, found.state) == (False, "down")
    assert str(pid) in found.why[0]


def test_a_silent_endpoint_is_down(folder: DataFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    write_run_file(folder, "market", os.getpid(), port)
    found = asked(folder, "market")
    assert (found.running, found.state) == (True, "down")
    assert "gives no health" in found.why[0]


def test_another_process_at_the_port_is_not_taken_for_the_component(folder: DataFolder) -> None:
    with running(folder, "recorder") as port:
        write_run_file(folder, "market", os.getpid(), port)
        found = asked(folder, "market")
        assert (found.running, found.state) == (False, "down")
        assert "recorder" in found.why[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"component":"market"}', '{"pid":"x"}', "\udcff"])
def test_a_damaged_run_file_is_no_run_file(folder: DataFolder, text: str) -> None:
    folder.run.mkdir()
    (folder.run / "market.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert asked(folder, "market").why == ("not running",)


@pytest.mark.parametrize(("pid", "port"), [(-1, 9), (0, 9), (2**40, 9), (1, 99_999_999), (1, -5)])
def test_absurd_numbers_in_a_run_file_do_no_harm(folder: DataFolder, pid: int, port: int) -> None:
    write_run_file(folder, "market", pid, port)
    assert asked(folder, "market").state == "down"
    assert lags(folder) == {}


def test_the_supervisor_knows_restarts_and_why_something_does_not_run(folder: DataFolder) -> None:
    health = Health("degraded", ("market is in a crash loop: exit code 1",), {"market_restarts": 5})
    with running(folder, "supervisor", health), running(folder, "recorder"):
        found = asked(folder, "market")
        assert found.restarts == 5
        assert found.why == ("not running", "market is in a crash loop: exit code 1")
        assert supervised(folder)
    assert not supervised(folder)


def test_only_simulated_feeds_need_the_simulator() -> None:
    assert needed(Settings()) == COMPONENTS
    real = Settings(feeds=(FeedSettings(name="binance", instruments=("binance:BTC-USDT",)),))
    assert "simulator" not in needed(real)


def test_the_settings_that_run_are_read_back(folder: DataFolder) -> None:
    assert resolved(folder) is None
    settings = Settings(ledger={"url": "postgresql://ann:hunter2hunter@db/x"})
    folder.run.mkdir()
    (folder.run / "settings.json").write_text(settings.model_dump_json())
    found = resolved(folder)
    assert found is not None
    assert found.feeds == settings.feeds
    (folder.run / "settings.json").write_text('{"nonsense": 1}')
    with pytest.raises(Exception, match="cannot be read by this version"):
        resolved(folder)


def test_the_living_and_the_dead() -> None:
    assert alive(os.getpid())
    assert alive(1)
    assert not any(map(alive, (ended(), 0, -1, 2**40)))


def test_status_of_what_is_stored_while_nothing_runs(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "--data", str(stored)]) == 0
    out = capfd.readouterr().out
    assert "not running; `tidemill up` starts them" in out
    assert "binance:BTC-USDT" in out
    assert cli.run(["status", "--check", "--data", str(stored)]) == 1


def test_status_with_a_running_market(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    board = {"at": 1, "instruments": [], "feeds": {"binance": {"lag_records": 3, "lag_seconds": 0.5}}}
    data = ["--data", str(stored)]
    with running(DataFolder(stored), "market", Health("degraded", ("lag",)), board=board):
        assert cli.run(["status", "--json", *data]) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["lag"] == [{"feed": "binance", "lag_records": 3, "lag_seconds": 0.5}]
        (market,) = [one for one in found["components"] if one["name"] == "market"]
        assert (market["state"], market["why"], market["pid"]) == ("degraded", ["lag"], os.getpid())
        assert found["instruments"][0]["trades"] == 600
        assert cli.run(["status", *data]) == 0
        out = capfd.readouterr().out
        assert "degraded" in out
        assert "lag_seconds" in out
        assert cli.run(["status", "--check", *data]) == 1


def test_status_tells_the_venues_clocks_and_who_wants_nothing(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("TIDEMILL_LEDGER__URL", f"postgresql://ann@127.0.0.1:{closed.getsockname()[1]}/t")
    data = ["--data", str(folder.path)]
    figures = {"f clock_offset_seconds": 0.0123, "f clock_offset_uncertainty_seconds": 0.004, "f trades": 7}
    with running(folder, "recorder", Health(figures=figures)):
        assert cli.run(["status", *data]) == 0
        out = capfd.readouterr().out
        assert "venue_ahead_ms" in out
        assert "12.3" in out
        assert "breakers" not in out
        budgets = Budgets(folder.limits)
        budgets.admit("sound.example", Wish("rest", 1, 10, 60.0))
        assert cli.run(["status", *data]) == 0
        assert "sound.example" not in capfd.readouterr().out
        budgets.banned("banned.example", 418, 90.0, "it answered 418", trial=False)
        budgets.close()
        assert cli.run(["status", *data]) == 0
        out = capfd.readouterr().out
        assert "banned.example" in out
        assert "it answered 418" in out
        assert "sound.example" not in out
        assert cli.run(["status", "--json", *data]) == 0
        found = json.loads(capfd.readouterr().out)
        assert [(one["host"], one["state"]) for one in found["breakers"]] == [
            ("banned.example", "open"),
            ("sound.example", "closed"),
        ]
        left = datetime.fromisoformat(found["breakers"][0]["until"]) - datetime.now(UTC)
        assert timedelta(0) < left <= timedelta(seconds=91)
        assert found["clocks"] == [{"feed": "f", "venue_ahead_ms": 12.3, "give_or_take_ms": 4.0}]
    (folder.limits / "hosts.sqlite").unlink()
    (folder.limits / "hosts.sqlite").mkdir()
    assert cli.run(["status", *data]) == 0
    assert "unknown" in capfd.readouterr().out


def test_check_is_content_when_all_are_healthy(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as stack:
        for name in COMPONENTS:
            stack.enter_context(running(DataFolder(stored), name))
        assert cli.run(["status", "--check", "--data", str(stored)]) == 0
        assert capfd.readouterr().out.count("healthy") == len(COMPONENTS)


def test_status_while_the_ledger_is_away(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("TIDEMILL_LEDGER__URL", f"postgresql://ann:hunter2hunter@127.0.0.1:{port}/t")
    data = ["--data", str(folder.path)]
    with running(folder, "recorder"):
        assert cli.run(["status", *data]) == 0
        out = capfd.readouterr().out
        assert "recorder" in out
        assert "stored: cannot be read now" in out
        assert "hunter2" not in out
        assert cli.run(["status", "--json", *data]) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["stored"] is None
        assert "cannot be reached" in found["why"]
