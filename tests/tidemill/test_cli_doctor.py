import json
import os
from pathlib import Path

import pytest

from core.errors import UserError
from core.settings import Settings
from tidemill import cli, health


def test_this_machine_is_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {check["name"] for check in found} >= {
        "python",
        "packages",
        "settings",
        "data folder",
        "ledger",
        "lake",
        "rehearsal",
    }
    assert [check for check in found if check["verdict"] == "fail"] == []
    assert list(tmp_path.iterdir()) == []


def test_a_bad_setting_is_a_finding_and_the_other_checks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(health, "services", lambda: iter([health.Check("ledger", "ok", "not tried here")]))
    monkeypatch.setattr(health, "rehearsal", lambda: health.Check("rehearsal", "ok", "not tried here"))
    monkeypatch.setenv("TIDEMILL_DTA", "x")
    assert cli.run(["doctor"]) == 1
    lines = capfd.readouterr().out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("fail  settings"))
    assert "TIDEMILL_DATA" in lines[at]
    assert lines[at + 1].strip().startswith("next:")
    assert lines[-2].startswith("ok    ledger")


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (health.python((3, 11)), "ok"),
        (health.python((3, 13)), "fail"),
        (health.python((3, 10)), "fail"),
        (health.clock(0.0), "fail"),
        (health.clock(1_800_000_000.0), "ok"),
        (health.clock(5_000_000_000.0), "fail"),
        (health.encoding("utf-8"), "ok"),
        (health.encoding("ascii"), "warn"),
        (health.open_files(256), "warn"),
        (health.open_files(4096), "ok"),
        (health.open_files(-1), "ok"),
    ],
)
def test_verdicts(check: health.Check, verdict: str) -> None:
    assert check.verdict == verdict
    assert bool(check.advice) == (verdict != "ok")


def test_a_package_of_a_wrong_version_or_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "requires", lambda _: ["numpy<1", "no-such-package", "msgspec", 'x; extra == "dev"'])
    check = health.packages()
    assert check.verdict == "fail"
    assert "numpy" in check.found
    assert "no-such-package is missing" in check.found
    assert "msgspec" not in check.found


def test_data_folders(tmp_path: Path) -> None:
    assert health.data_folder(tmp_path / "new" / "deep").verdict in ("ok", "warn")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("x")
    assert health.data_folder(tmp_path / "foreign").verdict == "fail"
    assert health.data_folder(tmp_path / "foreign" / "thesis.txt").verdict == "fail"
    assert health.data_folder(tmp_path / "foreign" / "thesis.txt" / "below").verdict == "fail"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert health.data_folder(tmp_path / "data").verdict == "fail"


def test_settings_that_cannot_be_read_do_not_stop_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "services", lambda: iter(()))

    def broken() -> Settings:
        raise UserError("bad")

    assert [c.verdict for c in health.checks(broken) if c.name == "settings"] == ["fail"]
