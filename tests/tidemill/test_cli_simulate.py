import gzip
import json
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from websockets.sync.client import connect

from core.instruments import Instrument
from exchanges.registry import VENUES, venue
from tidemill import cli
from tidemill.commands.simulate import simulate

TIDEMILL = [sys.executable, "-P", "-m", "tidemill"]
ROOT = Path(__file__).parents[2]
START = 1_723_118_400_000_000  # 2024-08-08 12:00 UTC
BARS = [("60000.1", "60010", "59990.5", "60005", "1.25"), ("60005", "60005", "60001", "60002.3", "0.5")]

pytestmark = pytest.mark.xdist_group("simulate")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@contextmanager
def exchange(*argv: str) -> Iterator[tuple[int, str]]:
    """Run the exchange; give its port and what it said. It has to end in good order."""
    command = [*TIDEMILL, "simulate", "--port", "0", *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = ""
        # The last line is that of the feed.
        while "\n  rest_url" not in said and (line := child.stdout.readline()):
            said += line
        try:
            found = re.search(r"127\.0\.0\.1:([0-9]+)", said)
            assert found, child.communicate()
            yield int(found[1]), said
        finally:
            child.send_signal(signal.SIGTERM)
            _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
        assert "Traceback" not in errors


def ask(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        return json.load(answer)


def until(port: int, true: Any) -> Any:
    deadline = time.monotonic() + 60
    while not true(state := ask(port, "/tidemill/state")):
        assert time.monotonic() < deadline, state
        time.sleep(0.05)
    return state


def trade_file(path: Path, count: int, step: int) -> Path:
    rows = [f"{100 + n},{60000 + n % 7},0.5,{(START + n * step) // 1000},false" for n in range(count)]
    path.write_text("\n".join(["id,price,size,time,is_buyer_maker", *rows]) + "\n")
    return path


def bar_file(path: Path) -> Path:
    rows = [",".join((str((START + n * 60_000_000) // 1000), *bar)) for n, bar in enumerate(BARS)]
    path.write_text("\n".join(["start,open,high,low,close,volume", *rows]) + "\n")
    return path


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["x.csv"], "say what the files hold"),
        (["x.csv", "--venue", "binance", "--instrument", "binance:BTC-USDT"], "say what the files hold"),
        (["x.csv", "--venue", "binanc"], "did you mean 'binance'?"),
        (["x.csv", "--venue", "binance"], "cannot read x.csv"),
        (["x.csv", "--venue", "binance", "--candles"], "candles are of one instrument"),
        (["x.csv", "--instrument", "BTC"], "no instrument name"),
        (["x.csv", "--instrument", "binance:BTC-USDT"], "x.csv"),
        (["x.csv", "--instrument", "binance:BTC-USDT", "--candles"], "cannot read x.csv as bars"),
        (["x.csv", "--venue", "binance", "--history", "2h"], "--history is of an invented market"),
        (["x.csv", "--venue", "binance", "--seed", "2"], "--seed is for an invented market"),
        (["--venue", "binance"], "name the files"),
        (["--candles"], "name the files"),
        (["--start", "noon"], "--start 'noon' is no time"),
        (["--start", "1960-01-01"], "before 1970"),
        (["--history", "much"], "--history 'much' is no duration"),
        (["--history", "1h", "--speed", "0"], "a speed of 0"),
        (["--history", "1h", "--speed", "nan"], "a speed of nan"),
        (["--history", "5000h"], "--history '5000h' is too long: at most 720h (30 days)"),
        (["--seed", "-1"], "--seed"),
        (["--port", "65536"], "--port"),
    ],
)
def test_what_cannot_be_served_is_refused(
    argv: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    free = [] if "--port" in argv else ["--port", "0"]
    assert cli.run(["simulate", *free, *argv]) == 2
    told = capfd.readouterr()
    assert said in told.err
    assert "inventing" not in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.run(["simulate", "--port", str(port)]) == 2
    told = capfd.readouterr().err
    assert str(port) in told
    assert "'--port'" in told


def test_a_start_outside_of_the_files_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(trade_file(tmp_path / "t.csv", 10, 1_000_000))
    argv = ["simulate", path, "--instrument", "binance:BTC-USDT", "--port", "0"]
    assert cli.run([*argv, "--start", "2024-08-08T12:00:11"]) == 2
    assert "it begins at 2024-08-08T12:00:00 and ends at 2024-08-08T12:00:09" in capfd.readouterr().err


def test_an_invented_market_is_fixed_by_its_seed_and_start() -> None:
    argv = ["--seed", "5", "--start", "2024-08-08T12:00", "--history", "1h", "--speed", "0.001"]
    pages = []
    for _ in range(2):
        with exchange(*argv) as (port, said):
            assert "BTCUSDT, ETHUSDT" in said
            assert "2024-08-08T12:00:00" in said
            pages.append(ask(port, "/api/v3/trades?symbol=BTCUSDT&limit=100"))
    assert pages[0] == pages[1]
    assert len(pages[0]) == 100


def test_files_wait_for_a_client_and_nothing_of_the_beginning_is_lost(tmp_path: Path) -> None:
    path = str(trade_file(tmp_path / "t.csv", 50, 20_000))
    with exchange(path, "--instrument", "binance:BTC-USDT") as (port, said):
        assert "waits for a client" in said
        assert '"binance:BTC-USDT"' in said
        time.sleep(0.3)
        assert ask(port, "/api/v3/trades?symbol=BTCUSDT") == []
        with connect(f"ws://127.0.0.1:{port}/ws") as client:
            # Who has only connected would miss the beginning.
            time.sleep(1.3)
            assert ask(port, "/tidemill/state")["paused"]
            client.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
            frames = [json.loads(client.recv(timeout=60)) for _ in range(51)]
        assert frames[0] == {"result": None, "id": 1}
        assert [frame["t"] for frame in frames[1:]] == list(range(100, 150))
        assert frames[1]["T"] == START // 1000
        until(port, lambda state: "the market is over: the tape has ended" in state["health"]["why"])
        assert len(ask(port, "/api/v3/trades?symbol=BTCUSDT")) == 50


def test_the_beginning_may_be_now(tmp_path: Path) -> None:
    path = str(trade_file(tmp_path / "t.csv", 50, 20_000))
    with exchange(path, "--instrument", "binance:BTC-USDT-PERP", "--now", "--no-wait") as (port, said):
        assert "/fapi/v1" in said
        feed = tomllib.loads(said[said.index("  [[feeds]]") :])["feeds"][0]
        assert (feed["name"], feed["instruments"]) == ("binance-usdm", ["binance:BTC-USDT-PERP"])
        until(port, lambda state: state["last_ids"]["binance:BTC-USDT-PERP"] == 149)
        (first, *_) = ask(port, "/fapi/v1/trades?symbol=BTCUSDT&limit=50")
        # Shifted by whole minutes.
        assert 0 <= time.time() - first["time"] / 1000 < 180


def test_candles_come_back_as_they_were(tmp_path: Path) -> None:
    path = str(bar_file(tmp_path / "bars.csv"))
    argv = [path, "--candles", "--instrument", "binance:BTC-USDT", "--seed", "3", "--no-wait", "--speed", "1000"]
    with exchange(*argv) as (port, _):
        until(port, lambda state: state["now"] >= state["end"])
        found = ask(port, "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=2&startTime=1723118400000")
    assert [[float(value) for value in row[1:6]] for row in found] == [
        [float(value) for value in bar] for bar in BARS
    ]


def test_recorded_frames_are_served_as_they_were_recorded(sample: Path) -> None:
    path = sample / "trades" / "binance_spot_btcusdt_20240808.ws.gz"
    with gzip.open(path) as file:
        recorded = [frame["data"] for line in islice(file, 20_000) if (frame := _frame(line)).get("data")]
    expected = {one["t"]: (one["p"], one["q"], one["T"], one["m"]) for one in recorded if one.get("e") == "trade"}
    with (
        exchange(str(path), "--venue", "binance", "--speed", "200") as (port, _),
        connect(f"ws://127.0.0.1:{port}/ws/btcusdt@trade") as client,
    ):
        frames = [json.loads(client.recv(timeout=60)) for _ in range(500)]
    assert [one["t"] for one in frames] == sorted(expected)[:500]
    assert [(one["p"], one["q"], one["T"], one["m"]) for one in frames] == [expected[one["t"]] for one in frames]


def _frame(line: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line[line.index(b"{") :])
    return found


def test_the_client_of_the_help_text_works_as_it_is_written_there() -> None:
    line = re.search(r"ccxt\.binance\(.*\}\)", " ".join((simulate.__doc__ or "").split()))
    assert line
    with exchange("--history", "1h", "--speed", "0.001") as (port, _):
        client = line[0].replace("9443", str(port))
        code = f"import json, ccxt; c = {client}; c.load_markets(); print(json.dumps(c.fetch_trades('BTC/USDT')))"
        argv = [sys.executable, "-W", "ignore", "-c", code]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert {trade["symbol"] for trade in json.loads(done.stdout)} == {"BTC/USDT"}


ADDRESSES = re.compile(
    r"^([a-z-]+) +([A-Z][^=]+?)\n +websocket_url = \"(\S+)\"\n +rest_url = \"(\S+)\"\n +other clients: (.+)$", re.M
)


def test_the_addresses_it_prints_are_those_of_a_feed_and_the_paths_those_of_other_clients() -> None:
    with exchange("--history", "1h") as (port, said):
        assert max(map(len, said.splitlines())) <= 80
        assert f"http://127.0.0.1:{port}/tidemill/faults" in said
        found = ADDRESSES.findall(said)
        names = {name for name, *_ in found}
        assert names == {name for name, one in VENUES.items() if one.exchange not in ("coinbase", "simulated")} - {
            # There is no market for it.
            "bybit-inverse"
        }
        for name, symbols, websocket_url, rest_url, paths in found:
            there = venue(name, websocket_url, rest_url)
            instruments = [there.instrument(symbol) for symbol in re.split(r",\s+", symbols)]
            asked = there.instruments_request()
            assert any(urlsplit(f"{rest_url}/{asked.path.lstrip('/')}").path.startswith(p) for p in paths.split())
            url = f"{rest_url}/{asked.path.lstrip('/')}?{urlencode(asked.params)}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                listed = there.read_instruments(answer.read())
            # The other kinds of instruments are listed by themselves at some venues.
            assert instruments[0].name in {one.name for one in listed}, name
            for connection in there.subscriptions(instruments[:1], [there.trade_channel, "quote"]):
                assert urlsplit(connection.url).path in paths.split()
                with connect(connection.url) as client:
                    client.send(connection.messages[0])
                    assert "error" not in str(client.recv(timeout=30)), name


def test_a_feed_of_files_has_the_addresses_of_its_venue(tmp_path: Path) -> None:
    path = str(trade_file(tmp_path / "t.csv", 50, 20_000))
    for name, of in (("okx:BTC-USDT", "okx"), ("bitget:BTC-USDT-PERP", "bitget-usdt")):
        with exchange(path, "--instrument", name) as (port, said):
            feed = tomllib.loads(said[said.index("  [[feeds]]") :])["feeds"][0]
        assert (feed["name"], feed["instruments"]) == (of, [name])
        assert VENUES[of].native(Instrument.parse(name))
        assert feed["websocket_url"] == f"ws://127.0.0.1:{port}" + urlsplit(VENUES[of].websocket_url).path
