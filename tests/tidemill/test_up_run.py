"""`tidemill run`: one component under somebody else's service manager."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.data_folder import DataFolder
from tidemill.cli import run
from tidemill.endpoint import ask
from tidemill.run_files import read

pytestmark = pytest.mark.xdist_group("up")


def test_a_component_runs_alone_and_ends_in_good_order_when_told(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    argv = [sys.executable, "-P", "-m", "tidemill", "--data", str(folder.path), "run", "ledger"]
    environ = {k: v for k, v in os.environ.items() if not k.startswith("TIDEMILL_")} | {"TIDEMILL_METRICS__PORT": "0"}
    with subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            deadline = time.monotonic() + 60
            while (file := read(folder, "ledger")) is None or ask(file.port, "/health", 10)["state"] != "healthy":
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert (file.pid, file.component) == (process.pid, "ledger")
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    assert read(folder, "ledger") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["markt"], "unknown component 'markt': did you mean 'market'"),
        (["supervisor"], "unknown component 'supervisor'"),
        (["market", "--lifeline", "987"], "--lifeline 987 is no pipe of a supervisor"),
    ],
)
def test_what_is_no_component_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["run", *words]) == 2
    assert said in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
