import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.instruments import Instrument
from core.records import Command, Kind, Record
from core.settings import FeedSettings
from dataflows.inbox import Inbox
from storage.data_folder import DataFolder
from storage.journal import Journal
from tidemill import cli
from tidemill.commands import feeds as command
from tidemill.feeds import feed_for, recording

TIDEMILL = [sys.executable, "-P", "-m", "tidemill"]
ROOT = Path(__file__).parents[2]
BTC, ETH, SOL, XRP = (f"simulated:{base}-USDT" for base in ("BTC", "ETH", "SOL", "XRP"))

pytestmark = pytest.mark.xdist_group("feeds")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def exchange() -> Iterator[int]:
    argv = [*TIDEMILL, "simulate", "--port", "0", "--history", "1h"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
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


@pytest.fixture
def nobody() -> int:
    """Give a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


def prepared(path: Path, port: int) -> list[str]:
    DataFolder(path / "data").prepare()
    (path / "t.toml").write_text(
        f'[[feeds]]\nname = "simulated"\ninstruments = ["{BTC}", "{ETH}"]\nhistory_minutes = 0\n'
        f'websocket_url = "ws://127.0.0.1:{port}"\nrest_url = "http://127.0.0.1:{port}"\n'
    )
    return ["--config", str(path / "t.toml"), "--data", str(path / "data")]


def said(capfd: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> Any:
    assert cli.run(["feeds", *argv, "--json"]) == code
    return json.loads(capfd.readouterr().out)


def outcomes(found: Any) -> list[tuple[str, str]]:
    return [(one["instrument"], one["outcome"]) for one in found]


def refused(capfd: pytest.CaptureFixture[str], folder: Path, *argv: str) -> str:
    """Give what a refusal says; nothing may have been submitted."""
    assert cli.run(["feeds", *argv]) == 2
    with Inbox(DataFolder(folder / "data")) as inbox:
        assert inbox.read(-1) == []
    return capfd.readouterr().err


def test_instruments_come_and_go_while_the_recorder_runs(
    tmp_path: Path, exchange: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = prepared(tmp_path, exchange)
    folder = DataFolder(tmp_path / "data")
    # The ledger is away: nothing of this needs it.
    monkeypatch.setenv("TIDEMILL_LEDGER__URL", "postgresql://ann:hunter2hunter@127.0.0.1:1/t")
    with subprocess.Popen([*TIDEMILL, "record", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        wait(lambda: recording(folder, "simulated") and all(one["last_trade"] for one in said(capfd, *argv)))
        assert outcomes(said(capfd, "add", SOL, XRP, BTC, *argv)) == [
            (BTC, "no change"),
            (SOL, "recording"),
            (XRP, "recording"),
        ]
        wait(lambda: all(one["last_trade"] for one in said(capfd, *argv)))
        assert {(one["instrument"], one["by"], one["recording"]) for one in said(capfd, "list", *argv)} == {
            (BTC, "settings", True),
            (ETH, "settings", True),
            (SOL, "command", True),
            (XRP, "command", True),
        }
        assert cli.run(["feeds", "add", "simulated:SOLL-USDT", *argv]) == 2
        assert f"did you mean '{SOL}'?" in capfd.readouterr().err
        # The recorder asks the venue by itself too.
        monkeypatch.setattr(command, "_VENUE_SECONDS", 1e-9)
        (one,) = said(capfd, "add", "simulated:SOLL-USDT", *argv, code=1)
        assert one["outcome"] == "refused"
        assert "SOLL-USDT" in one["why"]
        assert outcomes(said(capfd, "remove", SOL, ETH, *argv)) == [(SOL, "removed"), (ETH, "removed")]
        assert [one["instrument"] for one in said(capfd, *argv)] == [BTC, XRP]
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
        assert child.stderr is not None
        assert b"Traceback" not in child.stderr.read()
    assert [one["recording"] for one in said(capfd, *argv)] == [False, False]
    assert outcomes(said(capfd, "remove", BTC, XRP, *argv)) == [(BTC, "next up"), (XRP, "next up")]
    assert said(capfd, *argv) == []


def wait(true: Any) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_recorder_that_does_not_answer(
    tmp_path: Path, nobody: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = prepared(tmp_path, nobody)
    monkeypatch.setattr(command, "_ANSWER_SECONDS", 0.3)
    with Journal(tmp_path / "data" / "journal") as journal:
        journal.append("simulated", [Record(Kind.FRAME, 1, b"{}")])
        # A copy of another command is no answer.
        journal.append("simulated", [Command("subscribe", "simulated", {"instrument": SOL, "offset": "7"}).record(1)])
        assert outcomes(said(capfd, "add", SOL, *argv)) == [(SOL, "unanswered")]


def test_without_a_recorder_it_counts_from_the_next_start(
    tmp_path: Path, nobody: int, capfd: pytest.CaptureFixture[str]
) -> None:
    argv = prepared(tmp_path, nobody)
    assert cli.run(["feeds", "add", SOL, *argv]) == 0
    told = capfd.readouterr()
    assert "from the next `tidemill up` on" in told.out
    assert "could not be asked" in told.err
    found = said(capfd, *argv)
    assert [(one["instrument"], one["by"], one["recording"]) for one in found] == [
        (BTC, "settings", False),
        (ETH, "settings", False),
        (SOL, "command", False),
    ]
    assert outcomes(said(capfd, "add", SOL, *argv)) == [(SOL, "no change")]
    assert cli.run(["feeds", *argv]) == 0
    assert "simulated:SOL-USDT  command   no" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["add"], "say which instruments to add"),
        (["add", "SOL"], "no instrument name"),
        (["add", "kraken:BTC-EUR"], "no feed can record kraken:BTC-EUR; the feeds are simulated (simulated)"),
        (["add", "simulated:BTC-USDT-PERP"], "no feed can record"),
        (["add", SOL, "--feed", "simulatd"], "did you mean 'simulated'?"),
        (["add", "binance:BTC-USDT", "--feed", "simulated"], "which has no binance:BTC-USDT"),
        (["add", SOL, "no name"], "no instrument name"),
        (["remove", SOL], f"does not record {SOL}; it records {BTC}, {ETH}"),
        (["remove", BTC, SOL], f"does not record {SOL}"),
        (["list", BTC], "takes no instruments"),
        (["lst"], "'lst'"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_submitted(
    argv: list[str], told: str, tmp_path: Path, nobody: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert told in refused(capfd, tmp_path, *argv, *prepared(tmp_path, nobody))


def test_no_data_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["feeds", "add", SOL, "--data", str(tmp_path / "none")]) == 2
    assert "there is no data in" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@given(
    st.lists(st.sampled_from(["binance", "binance-usdm", "simulated"]), max_size=4),
    st.sampled_from([BTC, "binance:BTC-USDT", "binance:BTC-USDT-PERP", "okx:BTC-USDT"]),
)
def test_the_feed_of_an_instrument_is_the_only_one_that_carries_it(venues: list[str], name: str) -> None:
    feeds = {
        f"f{n}": FeedSettings(name=f"f{n}", venue=venue, instruments=("binance:ETH-USDT",))
        for n, venue in enumerate(venues)
    }
    fits = {BTC: "simulated", "binance:BTC-USDT": "binance", "binance:BTC-USDT-PERP": "binance-usdm"}.get(name)
    fitting = [feed for feed in feeds.values() if feed.dialect == fits]
    instrument = Instrument.parse(name)
    if len(fitting) == 1:
        assert feed_for(instrument, feeds, None) == fitting[0]
    else:
        with pytest.raises(UserError, match="several feeds" if fitting else "no feed can record"):
            feed_for(instrument, feeds, None)
    for feed in fitting:
        assert feed_for(instrument, feeds, feed.name) == feed
