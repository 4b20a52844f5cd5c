import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from storage.data_folder import DataFolder
from storage.ledger.schema import revisions
from tidemill import cli

pytestmark = pytest.mark.xdist_group("stored")
TIDEMILL = [sys.executable, "-c", "from tidemill.cli import main; main()"]


def heeding() -> None:
    """Let a child take Ctrl-C even where the tests run in the background, which makes children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


FIVE = "SELECT start, open, close, volume, complete FROM candles WHERE timeframe = '5m' ORDER BY start"


def sql(stored: Path, *argv: str) -> int:
    return cli.run(["sql", "--data", str(stored), *argv])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_csv_is_what_scripts_get(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, FIVE) == 0
    rows = list(csv.DictReader(io.StringIO(capfd.readouterr().out)))
    assert [row["start"] for row in rows] == ["2025-01-06T00:00:00Z", "2025-01-06T00:05:00Z"]
    assert [row["volume"] for row in rows] == ["7.5", "7.5"]
    assert [row["complete"] for row in rows] == ["true", "false"]


def test_json(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, FIVE, "--format", "json") == 0
    rows = json.loads(capfd.readouterr().out)
    assert rows[0] == {
        "start": "2025-01-06T00:00:00Z",
        "open": 100.0,
        "close": 104.0,
        "volume": 7.5,
        "complete": True,
    }


def test_table(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, FIVE, "--format", "table") == 0
    out = capfd.readouterr().out
    assert "2025-01-06 00:05:00" in out
    assert "(2 rows)" in out


def test_parquet_and_other_files(stored: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, "FROM trades", "--output", "trades.parquet") == 0
    assert pq.read_table(tmp_path / "trades.parquet").num_rows == 600
    assert sql(stored, FIVE, "--output", "five.json") == 0
    assert len(json.loads((tmp_path / "five.json").read_text())) == 2
    assert capfd.readouterr().out == ""


def test_a_query_from_stdin(stored: Path) -> None:
    done = subprocess.run(
        [*TIDEMILL, "sql", "--data", str(stored), "--format", "json"],
        input="SELECT count(*) AS n FROM trades;\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [{"n": 600}]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELEC 1", "syntax error"),
        ("FROM nowhere", "nowhere"),
        ("SELECT 1/'x'", "x"),
        ("SELECT error('mine')", "mine"),
        ("DELETE FROM lake.trades", ""),
        ("DROP TABLE lake.trades", ""),
        ("DELETE FROM ledger.public.signals", ""),
    ],
)
def test_a_query_that_cannot_be_answered_is_one_line(
    query: str, said: str, stored: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert sql(stored, query) == 1
    captured = capfd.readouterr()
    assert captured.out == ""
    *place, line = captured.err.splitlines()
    assert line.startswith("tidemill: ")
    assert said in line
    assert place == [] or (place[0].startswith("LINE ") and place[1].strip() == "^")
    assert "Traceback" not in captured.err


def test_the_caret_stands_under_the_place(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, "SELECT nope FROM trades") == 1
    first, second, _ = capfd.readouterr().err.splitlines()
    assert first[second.index("^") :].startswith("nope")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_long_query_can_be_stopped(number: int, code: int, stored: Path) -> None:
    long = "SELECT sum(a.range * b.range) FROM range(1000000) a, range(1000000) b"
    with subprocess.Popen(
        [*TIDEMILL, "sql", long, "--data", str(stored)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding,
    ) as process:
        # The server of the ledger stands when the query is about to run; a moment later it runs.
        deadline = time.monotonic() + 60
        while not (stored / "ledger" / "server.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.5)
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (code, "", "")
    assert not (stored / "ledger" / "server.json").exists()


@pytest.mark.parametrize("argv", [[""], [" ; "], ["SELECT 1", "--format", "xml"]])
def test_wrong_usage(argv: list[str], stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, *argv) == 2
    assert capfd.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", [["sql", "FROM trades"], ["sql", "--init"], ["status"], ["migrate", "--check"]])
def test_without_data_nothing_is_created(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*command, "--data", str(tmp_path / "nowhere")]) == 2
    assert "tidemill up" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_statements_for_other_clients_hold_no_password(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert sql(stored, "--init") == 0
    out = capfd.readouterr().out
    assert "ATTACH" in out
    assert "VIEW" in out
    password = (stored / "ledger" / "password").read_text().strip()
    assert password not in out


def test_status(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "--data", str(stored), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["feeds"] == [{"feed": "binance", "journal_offset": 9, "lake_offset": 7, "lag": 2}]
    (row,) = found["instruments"]
    assert (row["trades"], row["minutes"], row["proven"], row["open_gaps"]) == (600, 10, 9, 1)
    assert (row["dirty_minutes"], row["signals"]) == (1, 1)
    assert row["last_trade"].startswith("2025-01-06T00:09:59")
    assert found["runs"][0]["run"] == "rsi-1"
    assert found["quarantine"][0]["records"] == 1
    assert found["folder"]["journal_bytes"] > 0


def test_status_for_a_person(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "--data", str(stored)]) == 0
    assert "binance:BTC-USDT" in capfd.readouterr().out
    assert cli.run(["status", "--coverage", "--data", str(stored)]) == 0
    assert "2025-01-06" in capfd.readouterr().out
    assert cli.run(["status", "--coverage", "--json", "--data", str(stored)]) == 0
    (day,) = json.loads(capfd.readouterr().out)["coverage"]
    assert (day["minutes"], day["complete_minutes"]) == (10, 9)
    assert {"gaps_repaired", "first", "last"} <= day.keys()
    assert day["gaps_open"] is None  # nothing was ever claimed to be covered there


def test_migrate_again_changes_nothing(stored: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["migrate", "--json", "--data", str(stored)]) == 0
    assert json.loads(capfd.readouterr().out) == {"applied": []}
    assert cli.run(["migrate", "--check", "--json", "--data", str(stored)]) == 0
    assert json.loads(capfd.readouterr().out) == {"pending": []}


def test_a_new_folder_can_be_migrated_and_asked(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "new")]
    DataFolder(tmp_path / "new").prepare()
    assert cli.run(["migrate", "--check", *data]) == 1
    assert cli.run(["sql", "FROM candles", *data]) == 2
    captured = capfd.readouterr()
    assert captured.out == "".join(f"pending {revision}\n" for revision in revisions())
    assert captured.err.count("tidemill migrate") == 2
    assert cli.run(["migrate", *data]) == 0
    assert capfd.readouterr().out.startswith("".join(f"applied {one}\n" for one in revisions()))
    assert cli.run(["sql", "SELECT count(*) AS n FROM candles", *data]) == 0
    assert capfd.readouterr().out == "n\n0\n"
