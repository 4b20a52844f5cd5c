import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.records import Kind, Record, RecordBlock
from core.settings import Settings
from core.trades import TradeBatch
from exchanges.decode import to_batches
from exchanges.registry import venue
from storage.data_folder import DataFolder
from storage.journal import Journal
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve
from tidemill import cli

TIDEMILL = [sys.executable, "-P", "-m", "tidemill"]
ROOT = Path(__file__).parents[2]
START = 1_723_118_400_000_000  # 2024-08-08 12:00 UTC
NO_LEDGER = "postgresql://ann:hunter2hunter@127.0.0.1:{port}/t"

pytestmark = pytest.mark.xdist_group("record")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def no_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the ledger be away."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("TIDEMILL_LEDGER__URL", NO_LEDGER.format(port=port))


@contextmanager
def exchange(path: Path, *argv: str) -> Iterator[int]:
    command = [*TIDEMILL, "simulate", "--port", "0", str(path), "--instrument", "binance:BTC-USDT", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        assert child.stdout is not None
        found = None
        while found is None and (line := child.stdout.readline()):
            found = re.search(r"http://127\.0\.0\.1:([0-9]+)", line)
        try:
            assert found
            yield int(found[1])
        finally:
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=60)


def trade_file(path: Path, count: int) -> Path:
    rows = [f"{100 + n},{60000 + n % 7},0.5,{(START + n * 2_000) // 1000},false" for n in range(count)]
    path.write_text("\n".join(["id,price,size,time,is_buyer_maker", *rows]) + "\n")
    return path


def configure(path: Path, port: int, feed: str = "binance") -> list[str]:
    path.write_text(
        f'[[feeds]]\nname = "{feed}"\nvenue = "binance"\ninstruments = ["binance:BTC-USDT"]\nhistory_minutes = 0\n'
        f'websocket_url = "ws://127.0.0.1:{port}"\nrest_url = "http://127.0.0.1:{port}"\n'
    )
    return ["--config", str(path), "--data", "data"]


def recorder(argv: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*TIDEMILL, "record", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeding,
    )


def heeding() -> None:
    # A shell that started us in the background made us deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def recorded(folder: Path, feed: str = "binance") -> list[int]:
    """Give the ids of the trades in a journal, in order of arrival."""
    found: list[int] = []
    with Journal(folder / "journal") as journal:
        after = -1
        while (block := journal.read(feed, after, 10_000)) is not None:
            after = block.last_offset
            records = list(block.records())
            for one in records:
                if one.kind is Kind.TRADES:
                    found += TradeBatch.from_ipc(one.payload).ids.tolist()
            frames = [one for one in records if one.kind is Kind.FRAME]
            for batch in to_batches(venue("binance"), RecordBlock.of(feed, 0, frames)).batches if frames else ():
                found += batch.ids.tolist()
    return found


def until(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(set(recorded(folder))) < count:
        assert time.monotonic() < deadline, len(set(recorded(folder)))
        time.sleep(0.1)


@pytest.mark.usefixtures("no_ledger")
def test_all_of_a_market_is_recorded_and_ctrl_c_ends_it_well(tmp_path: Path) -> None:
    with exchange(trade_file(tmp_path / "t.csv", 500)) as port:
        argv = configure(tmp_path / "t.toml", port)
        with recorder(argv) as child:
            until(tmp_path / "data", 500)
            child.send_signal(signal.SIGINT)
            out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert set(recorded(tmp_path / "data")) == set(range(100, 600))
    with Journal(tmp_path / "data" / "journal") as journal:
        assert re.search(rf"binance +[0-9]+ +[0-9]+ +0 +0 +0 +{journal.last_offset('binance')}\n", out)
    assert "the ledger was not told of binance" in errors
    assert "hunter2" not in out + errors
    assert "Traceback" not in errors


def test_the_ledger_is_told_and_the_time_ends_it(tmp_path: Path) -> None:
    with exchange(trade_file(tmp_path / "t.csv", 50)) as port:
        argv = configure(tmp_path / "t.toml", port)
        with recorder(["--for", "4s", *argv]) as child:
            _, errors = child.communicate(timeout=120)
    assert (child.returncode, errors) == (0, "")
    folder = DataFolder(tmp_path / "data")
    with serve(Settings(), folder) as address, Ledger(address) as ledger:
        assert ledger.feeds() == {"binance": "binance"}
    assert set(recorded(folder.path)) == set(range(100, 150))


@pytest.mark.usefixtures("no_ledger")
def test_a_venue_that_is_away_is_waited_for_and_sigterm_ends_it_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with recorder(configure(tmp_path / "t.toml", port)) as child:
        deadline = time.monotonic() + 60
        while not (tmp_path / "data" / "journal" / "binance" / "writer").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        out, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    assert "binance" in out
    assert recorded(tmp_path / "data") == []


@pytest.mark.usefixtures("no_ledger")
def test_a_second_recorder_is_refused(tmp_path: Path) -> None:
    DataFolder(tmp_path / "data").prepare()
    argv = configure(tmp_path / "t.toml", 9)
    with Journal(tmp_path / "data" / "journal") as journal:
        journal.append("binance", [Record(Kind.FRAME, 1, b"{}")])
        with recorder(argv) as child:
            _, errors = child.communicate(timeout=60)
        assert child.returncode == 1
        assert "being written by another recorder" in errors
        assert journal.last_offset("binance") == 0


def test_a_feed_of_another_venue_is_not_written_over(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.hold("test"), serve(Settings(), folder) as address:
        migrate(address)
        with Ledger(address) as ledger:
            ledger.register_feed("binance", "simulated")
        with recorder([*configure(tmp_path / "t.toml", 9)]) as child:
            _, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "holds frames of simulated, not of binance" in errors


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--feed", "binanc"], "did you mean 'binance'?"),
        (["--for", "soon"], "--for 'soon' is no duration"),
        (["--for", "0s"], "--for '0s' is no duration"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_created(
    argv: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["record", *argv, "--data", str(tmp_path / "data")]) == 2
    assert said in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
