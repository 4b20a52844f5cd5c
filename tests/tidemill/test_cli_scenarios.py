"""tidemill simulate --scenario: what is listed, played and refused; and what the page about it promises."""

import json
import re
import signal
import subprocess
import sys
import tomllib
import urllib.request
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from simulator.faults.catalog import FAULTS
from simulator.faults.library import names
from simulator.faults.scenario import Scenario
from tidemill import cli

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "rehearsals.md").read_text("utf-8")

pytestmark = pytest.mark.xdist_group("simulate")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def told(port: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/tidemill/faults", timeout=30) as answer:
        return json.load(answer)


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["simulate", "--scenarios"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names()


@pytest.mark.parametrize(
    ("name", "words"),
    [("bad_dya", "did you mean 'bad_day'?"), ("none.toml", "cannot be read"), ("mine.toml", "'dropp'")],
)
def test_what_is_no_scenario_is_refused(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text('[[steps]]\nfault = "dropp"\n')
    assert cli.run(["simulate", "--scenario", name, "--port", "0"]) == 2
    refused = capsys.readouterr().err
    assert words in refused
    assert refused.count("\n") == 1


def test_a_scenario_that_hits_nothing_of_the_market_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.toml").write_text('[[steps]]\nfault = "skip"\ninstruments = ["BTCUSDT"]\n')
    assert cli.run(["simulate", "--scenario", "mine.toml", "--port", "0", "--history", "1m"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "unknown instrument in step 1 'BTCUSDT': did you mean 'BTC-USDT'?" in told.err


def test_a_scenario_of_ones_own_is_played() -> None:
    Path("mine.toml").write_text('description = "of mine"\nbegins = "started"\n[[steps]]\nfault = "silence"\n')
    command = [sys.executable, "-P", "-m", "tidemill", "simulate", "--port", "0", "--history", "1m"]
    command += ["--scenario", "mine.toml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        lines = takewhile(lambda line: line != "To record it, tidemill.toml:\n", iter(child.stdout.readline, ""))
        found = re.search(r"127\.0\.0\.1:([0-9]+)", "".join(lines))
        try:
            assert said == "scenario   mine: of mine; it begins now\n"
            assert found, child.communicate()
            assert (told(found[1])["scenario"]["name"], told(found[1])["active"]) == ("mine", ["silence"])
        finally:
            child.send_signal(signal.SIGTERM)
            _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors


def test_the_page_about_rehearsals_names_every_fault_and_parameter_and_its_scenario_is_one() -> None:
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    documented = {name: row[3] for row in rows for name in re.findall(r"`([a-z_0-9]+)`", row[1])}
    assert documented.keys() == FAULTS.keys()
    for name, fault in FAULTS.items():
        for parameter in fault.__struct_fields__:
            assert f"`{parameter}`" in documented[name], (name, parameter)
    shown = PAGE.split("given as `--scenario mine.toml`:\n\n")[1].split("\n\nEvery step")[0]
    assert len(Scenario.of(tomllib.loads(shown)).happenings) == 2
    for name in re.findall(r"--scenario ([a-z_]+)\b(?!\.)", PAGE):
        assert name in names()
    for body in re.findall(r"-d '(\{.*\})'", PAGE):
        asked = json.loads(body).get("scenario")
        assert asked is None or asked in names() or Scenario.of(asked)
