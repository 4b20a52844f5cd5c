import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import UnknownName
from exchanges.registry import VENUES
from tidemill import command_line as cli

TRADE = (
    b'{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"61837.63000000","q":"0.02000000",'
    b'"T":1672515782135,"m":true,"M":true}'
)
EXPECTED = {
    "type": "trade",
    "instrument": "binance:BTC-USDT",
    "id_space": "trade",
    "id": 12345,
    "time": 1672515782135000,
    "sent": 1672515782136000,
    "price": "61837.63000000",
    "size": "0.02000000",
    "side": "sell",
    "fills": 1,
}


def parsed(capfd: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> list[dict[str, Any]]:
    assert cli.run(["parse", *argv]) == code
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


@pytest.mark.parametrize("prefix", [b"", b"1723161253937085768 "])
@pytest.mark.parametrize("packed", [False, True])
def test_a_frame_gives_its_record(
    prefix: bytes, packed: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = prefix + TRADE + b"\n\r\n" + prefix + TRADE
    path = tmp_path / "frames"
    path.write_bytes(gzip.compress(text) if packed else text)
    assert parsed(capfd, "binance", str(path)) == [EXPECTED, EXPECTED]


@pytest.mark.parametrize("packed", [False, True])
def test_stdin(packed: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    text = gzip.compress(TRADE) if packed else TRADE
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text))))
    assert parsed(capfd, "binance", "-") == [EXPECTED]


def test_a_malformed_line_is_said_and_the_work_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frames"
    path.write_bytes(
        b"\n".join([TRADE, b"{", b"", TRADE.replace(b"12345", b"-1"), b"\xff\xfe", b"[" * 100_000, TRADE])
    )
    first, *malformed, last = parsed(capfd, "binance", str(path))
    assert first == last == EXPECTED
    assert [(m["type"], m["line"]) for m in malformed] == [("malformed", n) for n in (2, 4, 5, 6)]
    assert all(m["reason"] for m in malformed)


def test_the_count_stands_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frames"
    path.write_bytes(TRADE + b"\n{\n")
    assert cli.run(["parse", "binance", str(path)]) == 0
    assert capfd.readouterr().err == "2 lines, 1 records, 1 malformed\n"


def test_an_empty_file_is_no_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert parsed(capfd, "binance", str(tmp_path / "empty")) == []


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b[:60] + b"\x00\x00\x00" + b[63:]])
def test_damaged_gzip_is_a_clear_failure(damage: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "frames.gz"
    path.write_bytes(damage(gzip.compress((TRADE + b"\n") * 50)))
    assert cli.run(["parse", "binance", str(path)]) == 1
    err = capfd.readouterr().err
    assert "gzip data is damaged" in err
    assert err.count("\n") == 1


def test_a_line_without_an_end_takes_no_memory_and_is_malformed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli.load("tidemill.commands.parse"), "_LONGEST_LINE", 1000)
    path = tmp_path / "frames"
    path.write_bytes(TRADE + b"\n" + b"x" * 5_000 + b"\n" + TRADE)
    first, middle, last = parsed(capfd, "binance", str(path))
    assert (first, last) == (EXPECTED, EXPECTED)
    assert (middle["type"], middle["line"]) == ("malformed", 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_end_well(tmp_path: Path, capfd: pytest.CaptureFixture[str], lines: list[bytes]) -> None:
    path = tmp_path / "frames"
    path.write_bytes(b" " + b"\n".join(lines))
    for record in parsed(capfd, "binance", str(path)):
        assert record["type"] == "malformed"


@pytest.mark.sample
def test_a_real_recording(sample: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ids = []
    for day in ("08", "09"):
        records = parsed(capfd, "binance", str(sample / "trades" / f"binance_spot_btcusdt_202408{day}.ws.gz"))
        ids += [record["id"] for record in records if record["type"] == "trade"]
    assert len(ids) == 19_904
    assert ids == list(range(ids[0], ids[0] + 19_904))


def test_venues_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["venues"]) == 0
    assert "binance-usdm" in capfd.readouterr().out
    assert cli.run(["venues", "--json"]) == 0
    listed = {venue["name"]: venue for venue in json.loads(capfd.readouterr().out)}
    assert "trade" in listed["binance"]["channels"]
    assert "trade" not in listed["binance-usdm"]["channels"]
    assert listed["binance"]["limits"]["streams"] == 1024


def test_every_channel_that_a_venue_knows_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["venues"]) == 0
    (okx,) = (line for line in capfd.readouterr().out.splitlines() if line.startswith("okx "))
    assert " trade aggregate quote mark_price  1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 12h 1d 1w 1M " in okx
    assert cli.run(["venues", "--json"]) == 0
    for row in json.loads(capfd.readouterr().out):
        # A venue that refuses a channel names all that it knows.
        with pytest.raises(UnknownName) as refused:
            VENUES[row["name"]].subscriptions([], ["none"])
        known = str(refused.value).split("Known: ")[1].split(", ")
        assert sorted(row["channels"]) == sorted(known), row["name"]
