import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.records import Command
from core.settings import Settings, load
from dataflows.inbox import Inbox
from storage.data_folder import DataFolder
from storage.lake import connect, create
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve
from strategies.registry import strategy
from tidemill import cli

CONFIG = """
[[feeds]]
name = "binance"
instruments = ["binance:BTC-USDT"]
"""
MORE = """
[candles]
lateness_ms = 700
timeframes = ["1s", "1m", "5m"]

[quotes]
interval_ms = 250

[[feeds]]
name = "binance"
instruments = ["binance:BTC-USDT", "binance:SOL-USDT"]

[[strategies]]
name = "rsi"
params = { length = 21 }
"""

pytestmark = pytest.mark.xdist_group("plan")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ran(folder: Path, config: str, tmp_path: Path) -> None:
    """Leave behind what `tidemill up` with these settings leaves."""
    (tmp_path / "before.toml").write_text(config)
    run = DataFolder(folder).run
    run.mkdir(exist_ok=True)
    (run / "settings.json").write_text(load(tmp_path / "before.toml", environ={}).model_dump_json())


def planned(capfd: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert cli.run(["plan", "--json", *argv]) == 0
    return json.loads(capfd.readouterr().out)


def test_where_nothing_ran_everything_starts_and_nothing_is_created(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = planned(capfd, "--data", str(tmp_path / "new"))
    assert found["compared_with"] == "nothing"
    assert found["plan"]["feeds"]["start"] == ["simulated"]
    assert len(found["plan"]["runs"]["start"]) == 3
    assert {(w["wanted"], w["lake"], w["venue"]) for w in found["warm_up"]} == {(140, 0, 140)}
    assert found["store"]["journal_bytes_at_most"] == 8 * 2**30
    assert list(tmp_path.iterdir()) == []
    assert cli.run(["plan", "--data", str(tmp_path / "new")]) == 0
    assert "would start all of this" in capfd.readouterr().out


def test_equal_settings_are_nothing_to_do(stored: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ran(stored, CONFIG, tmp_path)
    argv = ["--config", "before.toml", "--data", str(stored)]
    found = planned(capfd, *argv)
    assert (found["compared_with"], found["nothing_to_do"], found["unknown"]) == ("last run", True, None)
    assert cli.run(["plan", *argv]) == 0
    assert "nothing to do" in capfd.readouterr().out


def test_a_changed_file_is_shown_before_it_counts(
    stored: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ran(stored, CONFIG, tmp_path)
    (tmp_path / "after.toml").write_text(MORE)
    argv = ["--config", "after.toml", "--data", str(stored)]
    found = planned(capfd, *argv)
    plan = found["plan"]
    assert plan["instruments"] == {"start": [["binance", "binance:SOL-USDT"]], "stop": []}
    assert plan["timeframes"] == {"start": [], "stop": ["15m", "1d", "1h", "4h"]}
    assert len(plan["runs"]["start"]) == 2
    assert len(plan["runs"]["stop"]) == 1
    assert {"setting": "candles.lateness_ms", "old": 500, "new": 700} in plan["settings"]
    assert {"setting": "quotes.interval_ms", "old": 1000, "new": 250} in plan["settings"]
    warm = {w["run"]["instrument"]: (w["wanted"], w["lake"], w["venue"], w["missing"]) for w in found["warm_up"]}
    assert warm == {"binance:BTC-USDT": (210, 10, 0, 200), "binance:SOL-USDT": (210, 0, 210, 0)}
    assert cli.run(["plan", *argv]) == 0
    out = capfd.readouterr().out
    assert "+ binance:SOL-USDT (feed binance)" in out
    assert re.search(r"setting +was +becomes\n", out)
    assert re.search(r"candles\.lateness_ms +500 +700\n", out)
    assert re.search(r"quotes\.interval_ms +1000 +250\n", out)


@pytest.mark.parametrize(
    ("channels", "lake"),
    [
        ('["trade", "quote"]', "lake: trades, candles (1s, 1m), quotes"),
        ('["kline_5m", "mark_price"]', "lake: mark_prices, venue_candles"),
        ("[]", "lake: trades, candles (1s, 1m)"),
    ],
)
def test_the_tables_that_the_channels_fill_are_named(
    channels: str, lake: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    feed = f'[[feeds]]\nname = "okx"\ninstruments = ["okx:BTC-USDT-PERP"]\nchannels = {channels}\n'
    (tmp_path / "tidemill.toml").write_text(feed)
    tables = planned(capfd, "--data", str(tmp_path / "new"))["store"]["tables"]
    assert tables == [lake, "ledger: instruments, instrument_changes, coverage, gaps, runs, signals"]


def test_what_operators_added_stays(stored: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ran(stored, CONFIG, tmp_path)
    with Inbox(DataFolder(stored)) as inbox:
        inbox.submit(Command("subscribe", "binance", {"instrument": "binance:SOL-USDT"}))
        try:
            (tmp_path / "after.toml").write_text(MORE)
            found = planned(capfd, "--config", "after.toml", "--data", str(stored))
            assert found["plan"]["instruments"] == {"start": [], "stop": []}
        finally:
            inbox.submit(Command("unsubscribe", "binance", {"instrument": "binance:SOL-USDT"}))


def test_code_that_has_changed_since_the_start_is_another_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(tmp_path / "data")
    with folder.hold("test"), serve(Settings(), folder) as address:
        migrate(address)
        lake = connect(address, str(folder.lake), read_only=False)
        create(lake)
        lake.close()
        with Ledger(address) as ledger:
            ledger.start_run("rsi-of-old", "rsi", "binance:BTC-USDT", "1m", strategy("rsi").params, "other code")
        ran(folder.path, CONFIG, tmp_path)
        found = planned(capfd, "--config", "before.toml", "--data", str(folder.path))
    assert found["unknown"] is None
    assert [run["id"] for run in found["plan"]["runs"]["stop"]] == ["rsi-of-old"]
    assert len(found["plan"]["runs"]["start"]) == 1


def test_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    ran(folder.path, CONFIG, tmp_path)
    monkeypatch.setenv("TIDEMILL_LEDGER__URL", "postgresql://ann:hunter2hunter@127.0.0.1:1/t")
    for argv in (["plan"], ["plan", "--json"]):
        assert cli.run([*argv, "--config", "before.toml", "--data", str(folder.path)]) == 0
        told = capfd.readouterr()
        assert "ledger.url" in told.out
        assert "hunter2" not in told.out + told.err


def test_a_feed_that_does_not_exist(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", "--feed", "binanc", "--data", str(tmp_path / "new")]) == 2
    assert "did you mean 'binance'?" in capfd.readouterr().err
