"""tidemill repair as users call it: against the simulated exchange in OKX's dialect, and against nobody."""

import json
import socket
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "dataflows"))
from gapped import holes_at, market, put, records_of

from core.settings import Settings
from dataflows import repair as repairing
from storage.data_folder import DataFolder
from storage.ledger.server import serve
from tidemill import cli

pytestmark = pytest.mark.xdist_group("repair")


@pytest.fixture
def called(tmp_path, monkeypatch, capsys):
    """Call the command in a data folder whose server stays up; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(repairing, "TRIES", 1)

    def call(*words, port=1):
        Path("tidemill.toml").write_text(
            'strategies = []\n[[feeds]]\nname = "f"\nvenue = "okx"\ninstruments = ["okx:BTC-USDT"]\n'
            f'rest_url = "http://127.0.0.1:{port}"\n'
        )
        code = cli.run(["repair", *words])
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_a_folder_that_is_not_there_is_not_made(called, tmp_path):
    code, out, err = called()
    assert (code, out) == (2, "")
    assert "there is no data" in err
    assert not (tmp_path / "data").exists()


def test_gaps_are_told_as_they_become(called, tmp_path):
    with serve(Settings(), DataFolder(tmp_path / "data")), market() as exchange:
        settings, truth = exchange.settings(tmp_path / "data", "okx"), exchange.truth("okx")
        put(settings, records_of(truth, (holes := holes_at(truth, (0.3, 0.32), (0.5, 0.52)))))
        code, out, err = called("okx:BTC-USD")
        assert (code, out) == (2, "")
        assert "did you mean 'okx:BTC-USDT'" in err
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            code, out, err = called("--json", port=nobody.getsockname()[1])
        assert (code, json.loads(out)["left"]) == (1, 2)
        assert {one["outcome"] for one in json.loads(out)["gaps"]} == {"unanswered"}

        exchange.hide(truth.take(slice(holes[1][0], holes[1][0] + 3)))
        code, out, err = called("okx:BTC-USDT", port=exchange.served.port)
        assert code == 0, err
        lines = out.splitlines()
        assert lines[0].split()[:4] == ["instrument", "from", "to", "became"]
        assert "repaired" in lines[2]
        assert "unfillable" in lines[3]
        assert "the venue does not have it any more" in lines[3]
        stored = sum(high - low for low, high in holes) - 3
        assert lines[-1].startswith(f"1 repaired, 1 unfillable; {stored} trades stored, ")
        assert called(port=exchange.served.port) == (0, "nothing to repair: no gap is open\n", "")
        code, out, err = called("--all", "--json", port=exchange.served.port)
        told = json.loads(out)
        assert (code, told["unfillable"], told["trades"], told["gaps"][0]["missing"]) == (0, 1, 0, 3)
        exchange.tape.hidden.clear()
        code, out, err = called("--all", port=exchange.served.port)
        assert (code, out.splitlines()[-1].split(",")[0]) == (0, "1 repaired; 3 trades stored")


def test_what_nobody_records_any_more_is_left_to_the_next_start_and_not_told_as_done(called, tmp_path):
    with serve(Settings(), DataFolder(tmp_path / "data")), market() as exchange:
        settings, truth = exchange.settings(tmp_path / "data", "okx"), exchange.truth("okx")
        put(settings, records_of(truth, holes_at(truth, (0.97, 0.975)), ended=False))
        code, out, err = called(port=exchange.served.port)
        assert (code, err) == (1, "")
        assert "`tidemill up` fetches it" in out
        assert out.splitlines()[-1].startswith("1 still open; 0 trades stored")
