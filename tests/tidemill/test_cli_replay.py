import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.timeframes import MINUTE
from simulator.frames import Recording, write_recording
from simulator.market import InventedMarket
from tidemill import cli

TIDEMILL = [sys.executable, "-c", "from tidemill.cli import main; main()"]


def heeding() -> None:
    """Let a child take Ctrl-C even where the tests run in the background, which makes children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    market = InventedMarket(7)
    return write_recording(tmp_path_factory.mktemp("recording") / "six.ws.gz", market, market.start, 6 * MINUTE)


def said(capfd: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert cli.run(argv) == 0
    return json.loads(capfd.readouterr().out)


def test_a_recording_is_stored_once(recording: Recording, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "data")]
    replay = ["replay", str(recording.path), "--venue", "simulated", *data]
    first = said(capfd, *replay, "--json")
    assert first["stored"] == sum(recording.trades.values())
    assert cli.run(replay) == 0
    assert "Nothing was new" in capfd.readouterr().out
    query = "SELECT instrument, count(*) AS n FROM trades GROUP BY ALL"
    counted = said(capfd, "sql", query, "--format", "json", *data)
    assert {row["instrument"]: row["n"] for row in counted} == recording.trades
    found = said(capfd, "status", "--json", *data)
    assert [row["trades"] for row in found["instruments"]] == [recording.trades[n] for n in sorted(recording.trades)]


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "--venue NAME for frames"),
        (["--venue", "binance", "--instrument", "binance:BTC-USDT"], "--venue NAME for frames"),
        (["--venue", "binanc"], "did you mean 'binance'?"),
        (["--instrument", "BTCUSDT"], "venue:BASE-QUOTE"),
        (["--venue", "binance", "--speed", "0"], "--speed 0"),
        (["--venue", "binance", "--speed", "nan"], "--speed nan"),
        (["--venue", "binance", "nowhere.gz"], "nowhere.gz"),
        (["--venue", "binance", "."], "."),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_created(
    argv: list[str],
    part: str,
    recording: Recording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["replay", str(recording.path), *argv]) == 2
    err = capfd.readouterr().err
    assert part in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_replay_that_is_stopped_is_finished_by_the_next(
    recording: Recording, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    replay = ["replay", str(recording.path), "--venue", "simulated", "--data", str(data)]
    for number, codes in ((signal.SIGINT, {130}), (signal.SIGTERM, {130, 143})):
        with subprocess.Popen(
            [*TIDEMILL, *replay, "--speed", "9"], stderr=subprocess.PIPE, text=True, preexec_fn=heeding
        ) as process:
            deadline = time.monotonic() + 60
            while not any((data / "journal").glob("*/*.seg")) and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(1)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        assert process.returncode in codes
        assert "Traceback" not in err
        assert not (data / "ledger" / "server.json").exists()
    said(capfd, *replay, "--json")
    counted = said(capfd, "sql", "SELECT count(*) AS n FROM trades", "--format", "json", "--data", str(data))
    assert counted == [{"n": sum(recording.trades.values())}]
