"""Whatever is wrong with the input: one line that says what to do, and nothing stored has changed."""

import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from core.timeframes import MINUTE
from simulator.frames import write_recording
from simulator.market import InventedMarket
from storage import lake
from storage.data_folder import DataFolder
from storage.journal import Journal
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

pytestmark = pytest.mark.xdist_group("bad_input")

TIDEMILL = [sys.executable, "-c", "from tidemill.cli import main; main()"]

PROGRESS = re.compile(r"([0-9]+%, )?(checking the files|folding|revising), [0-9,]+ trades\n")

# Loads everything once and forks for each command: a process of its own, without the second that imports take.
FORKS = """
import json, os, sys
import dataflows.replay, storage.catalog, tidemill.cli, tidemill.commands.replay, tidemill.commands.sql
import tidemill.commands.status, tidemill.commands.migrate, tidemill.commands.parse
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(job["cwd"])
        os.environ.update(job["env"])
        for descriptor, name in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
            opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(opened, descriptor)
        sys.stdin = open(0)
        sys.argv = ["tidemill", *job["argv"]]
        try:
            tidemill.cli.main()
        except SystemExit as ended:
            sys.stderr.flush()
            # Not sys.exit: threads of libraries did not come over the fork, and cannot be ended.
            os._exit(ended.code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

ALL_ROWS = {
    "trades": "SELECT * FROM lake.trades",
    "candles": "SELECT * FROM lake.candles",
    "offsets": "SELECT * FROM lake.offsets",
}


@dataclass(slots=True)
class Stored:
    """A data folder that holds a replayed recording, and a process that runs commands on it."""

    data: Path
    recording: Path
    forks: "subprocess.Popen[str]"
    before: dict[str, object] = field(default_factory=dict)

    def run(self, cwd: Path, argv: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
        out, err = (cwd.with_name(f"{cwd.name}.{name}") for name in ("out", "err"))
        job = {"cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err), "argv": list(argv)}
        assert self.forks.stdin is not None
        assert self.forks.stdout is not None
        self.forks.stdin.write(json.dumps(job) + "\n")
        self.forks.stdin.flush()
        code = int(self.forks.stdout.readline())
        return code, out.read_text("utf-8", "replace"), said(err.read_text("utf-8", "replace"))


def tidemill(*argv: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*TIDEMILL, *argv], capture_output=True, text=True, timeout=120, check=False, **options)


def said(err: str) -> str:
    """What a command said, without the lines of progress that a slow one writes each few seconds."""
    return "".join(line for line in err.splitlines(keepends=True) if not PROGRESS.match(line))


def fingerprint(data: Path) -> dict[str, object]:
    """Count and hash every table, in whatever order its rows lie."""
    folder = DataFolder(data)
    found: dict[str, object] = {}
    with serve(Settings(), folder) as address:
        session = lake.connect(address, str(folder.lake.resolve()), read_only=True)
        try:
            for name, query in ALL_ROWS.items():
                counted = f"SELECT count(*), sum(hash(r)::HUGEINT) FROM ({query}) r"
                found[name] = session.execute(counted).fetchone()
        finally:
            session.close()
        with Ledger(address) as ledger:
            found["signals"] = sorted(map(str, ledger.signals()))
            found["gaps"] = sorted(map(str, ledger.gaps()))
            found["feeds"] = ledger.feeds()
            found["ids"] = ledger.id_spaces()
            found["unread"] = {feed: len(ledger.unreadable(feed, 1000)) for feed in ledger.feeds()}
    with Journal(folder.journal) as journal:
        found["journal"] = {feed: journal.last_offset(feed) for feed in journal.feeds()}
    return found


def comparable(data: Path) -> dict[str, object]:
    """What a folder holds, but for what counts the attempts: the journal's and the lake's offsets."""
    return {name: rows for name, rows in fingerprint(data).items() if name not in ("journal", "offsets")}


def serving(data: Path) -> list[str]:
    """The processes that have the folder in their command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(data).encode() in command and int(process.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
    return found


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = InventedMarket(11)
    path = tmp_path_factory.mktemp("market") / "market.ws"
    write_recording(path, made, made.start, 4 * MINUTE)
    return path


@pytest.fixture(scope="module")
def stored(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    folder = tmp_path_factory.mktemp("bad-input")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    (folder / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environ, "TMPDIR": str(folder / "tmp")},
        cwd=Path(__file__).parents[2],
    ) as forks:
        one = Stored(folder / "data", market, forks)
        done = tidemill("replay", str(market), "--venue", "binance", "--data", str(one.data))
        assert (done.returncode, said(done.stderr)) == (0, "")
        one.before = fingerprint(one.data)
        yield one
        assert forks.stdin is not None
        forks.stdin.close()


@dataclass(slots=True)
class Case:
    argv: Sequence[str]
    says: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    data: bool = True
    code: tuple[int, ...] = (1, 2)


def failures(stored: Stored, folder: Path, cases: Mapping[str, Case]) -> list[str]:
    """Run all cases; say what is wrong with each, and with what they left behind."""
    wrong = []
    for number, (name, case) in enumerate(cases.items()):
        cwd = folder / f"case{number}"
        cwd.mkdir()
        data = ["--data", str(stored.data)] if case.data else []
        code, out, err = stored.run(cwd, [*case.argv, *data], case.env)
        faults = [
            *([f"code {code}"] if code not in case.code else []),
            *(["stdout is not empty"] if out else []),
            *(["not one line"] if err.count("\n") != 1 else []),
            *(["does not begin with tidemill:"] if not err.startswith("tidemill: ") else []),
            *(["an accident"] if "unexpected" in err or "Traceback" in err else []),
            *(["too long"] if len(err) > 900 else []),
            *(f"does not say {part!r}" for part in case.says if part not in err),
            *(["left files"] if list(cwd.iterdir()) else []),
        ]
        if faults:
            wrong.append(f"{name}: {'; '.join(faults)}\n    {err[:1200]!r} {out[:100]!r}")
    if left := list((stored.data.parent / "tmp").iterdir()):
        wrong.append(f"temporary files: {left}")
    if running := serving(stored.data):
        wrong.append(f"processes: {running}")
    if (now := fingerprint(stored.data)) != stored.before:
        wrong.append(f"stored data changed: {stored.before} is now {now}")
    return wrong


def frame(price: str = "100.5", size: str = "0.25", number: int = 1, symbol: str = "BTCUSDT") -> bytes:
    at = 1_736_121_600_000 + number
    return b'%d000000 {"e":"trade","E":%d,"s":"%b","t":%d,"p":"%b","q":"%b","T":%d,"m":false,"M":true}\n' % (
        *(at, at, symbol.encode(), number),
        *(price.encode(), size.encode(), at),
    )


def test_files_that_are_no_recording(stored: Stored, tmp_path: Path) -> None:
    whole = stored.recording.read_bytes()
    okx = b"".join(
        b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d","px":"1",'
        b'"sz":"1","side":"buy","ts":"1736121600000"}]}\n' % n
        for n in range(20)
    )
    bad_prices = ("NaN", "nan", "Infinity", "-1", "0", "0.00000000", "1e400", "", "12345678901234567890")
    contents = {
        "empty": (b"", "is empty"),
        "blank": (b"\n\r\n \n", "is empty"),
        "binary": (random.Random(1).randbytes(200_000), "no recording of binance"),
        "zeros": (bytes(100_000), "no recording of binance"),
        "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(500), "no recording of binance"),
        "half.gz": (gzip.compress(whole)[:-5000], "middle of its gzip data: copy it again"),
        "damaged.gz": (b"\x1f\x8b\x08\x00" + bytes(6) + b"\xff" * 500, "copy it again"),
        "other-venue": (okx, "no recording of binance"),
        "other-venue-acknowledged": (b'{"result":null,"id":1}\n' + okx, "no recording of binance"),
        "no-number": (b"".join(frame(p, number=n) for n, p in enumerate(bad_prices, 1)), "no recording of binance"),
        "one-line": (b"x" * (17 << 20), "longer than 16 MiB"),
        "one-huge-array": (b"[" * (17 << 20), "longer than 16 MiB"),
        "deep": (b"[" * 1_000_000 + b"\n", "no recording of binance"),
        "latin-1": ("été\n".encode("latin-1") * 9, "no recording of binance"),
        "right-to-left \u202egz.sw": ("\u202eabc\n".encode(), "no recording of binance"),
        "trades.csv": (b"trade_id,ts,price,size,side\n1,1736121600000,1,1,buy\n", "no recording of binance"),
    }
    cases = {}
    for name, (content, says) in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        cases[name] = Case(["replay", str(path), "--venue", "binance"], [says], code=(2,))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for name, says in {
        "absent": "No such file",
        "loop": "Too many levels of symbolic links",
        "pipe": "no regular file",
        ".": "is a folder: name the files",
        "/dev/null": "no regular file",
        "/dev/zero": "no regular file",
        "x" * 300: "File name too long",
    }.items():
        cases[name] = Case(["replay", str(tmp_path / name), "--venue", "binance"], [says], code=(2,))
    good = str(stored.recording)
    cases["a good one and a bad one"] = Case(
        ["replay", good, str(tmp_path / "half.gz"), "--venue", "binance"], ["half.gz", "copy it again"], code=(2,)
    )
    cases["spot frames as futures"] = Case(["replay", good, "--venue", "okx"], ["unknown venue 'okx'", "Known: "])
    assert not failures(stored, tmp_path, cases)


def test_files_that_are_no_trades(stored: Stored, tmp_path: Path) -> None:
    head, row = "trade_id,ts,price,size,side\n", "1,1736121600000,100.5,0.25,buy\n"
    contents = {
        "missing-column": ("trade_id,ts,price,size\n1,1736121600000,1,1\n", ["what is missing: side"]),
        "side": (head + row + row.replace("buy", "hold"), ["taker side unreadable", "mend or remove it"]),
        "negative": (head + row.replace("100.5", "-100.5"), ["price unreadable", "mend or remove it"]),
        "nan": (head + row.replace("100.5", "NaN"), ["price unreadable"]),
        "20-digits": (head + row.replace("100.5", "12345678901234567890"), ["price unreadable"]),
        "16-digits": (head + row.replace("100.5", "1234567890.123456"), ["price unreadable"]),
        "zero": (head + row.replace("0.25", "0.000"), ["size 0.0"]),
        "year-1": (head + row.replace("1736121600000", "12"), ["time 12000000"]),
        "mixed": ("symbol," + head + "A," + row + "B," + row, ["several instruments (A, B)", "one at a time"]),
        "long": (head + row + "x" * 3_000_000 + "\n", ["cannot read", "mend or remove"]),
        "latin-1": ((head + row.replace("buy", "büy")).encode("latin-1"), ["utf-8"]),
        "half.csv.gz": (gzip.compress((head + row * 5000).encode())[:-9], ["middle of its gzip"]),
        "half.parquet": (b"PAR1" + bytes(500), ["cannot read"]),
        "binary": (bytes(500), ["neither Parquet nor CSV"]),
        "header": (head, ["there are no trades"]),
        "empty": ("", ["is empty"]),
        "frames": (frame(), ["what is missing"]),
    }
    cases = {}
    for name, (content, says) in contents.items():
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        cases[name] = Case(["replay", str(path), "--instrument", "binance:BTC-USDT"], says, code=(2,))
    good = tmp_path / "good.csv"
    good.write_text(head + row)
    for name, says in {
        "binance:BTCUSDT": "write venue:BASE-QUOTE",
        "BTCUSDT": "write venue:BASE-QUOTE",
        "binance:btc-usdt": "write venue:BASE-QUOTE",
        "binanse:BTC-USDT": "did you mean 'binance'?",
        "../../x": "write venue:BASE-QUOTE",
        "binance:../../x-USDT": "write venue:BASE-QUOTE",
        "": "write venue:BASE-QUOTE",
        "binance:BTC-USDT\n": "write venue:BASE-QUOTE",
        "binance:BTC-USDT\x1b[2J": "write venue:BASE-QUOTE",
        "binance:" + "B" * 300 + "-USDT": "write venue:BASE-QUOTE",
        "binance:\u202eCTB-TDSU": "write venue:BASE-QUOTE",
        "binance:BTC-USDT-20251": "write venue:BASE-QUOTE",
        "binance:BTC-USDT'; DROP TABLE trades; --": "write venue:BASE-QUOTE",
    }.items():
        cases[f"instrument {name!r}"] = Case(["replay", str(good), f"--instrument={name}"], [says], code=(2,))
    assert not failures(stored, tmp_path, cases)


def test_command_lines_that_are_wrong(stored: Stored, tmp_path: Path) -> None:
    good = str(stored.recording)
    replay = ["replay", good]
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing").write_text("x")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "tidemill.version").write_text("2\n")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "tidemill.version").write_bytes(b"\xff\xfe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    venue = ["--venue", "binance"]
    cases = {
        "unknown command": Case(["repaly", good], ["did you mean 'replay'?"], code=(2,)),
        "unknown option": Case([*replay, "--vneue", "binance"], ["--vneue"], code=(2,)),
        "no file": Case(["replay", *venue], ["FILE"], code=(2,)),
        "neither venue nor instrument": Case(replay, ["--venue NAME", "--instrument NAME"], code=(2,)),
        "venue and instrument": Case([*replay, *venue, "--instrument", "binance:BTC-USDT"], ["--venue NAME"]),
        "venue": Case([*replay, "--venue", "binanse"], ["unknown venue", "did you mean 'binance'?"], code=(2,)),
        "log": Case([*replay, *venue, "--log", "loud"], ["'loud'", "'debug'"], code=(2,)),
        "settings absent": Case([*replay, *venue, "--config", "absent.toml"], ["absent.toml: No such file"]),
        "settings a folder": Case([*replay, *venue, "--config", str(tmp_path)], ["Is a directory"], code=(2,)),
        **{
            f"speed {speed}": Case([*replay, *venue, f"--speed={speed}"], [said], code=(2,))
            for speed, said in {
                "0": "above 0",
                "-1": "above 0",
                "nan": "above 0",
                "inf": "above 0",
                "x": "--speed",
            }.items()
        },
    }
    for command in (replay + venue, ["sql", "SELECT 1"], ["status"], ["migrate"]):
        for name, says in {"newer": "upgrade Tidemill", "odd": "restore", "file": "--data", "full": "--data"}.items():
            argv = [*command, "--data", str(tmp_path / name)]
            cases[f"{command[0]} on {name}"] = Case(argv, [says if command[0] != "status" else ""], data=False)
        if command[0] in ("sql", "status"):
            argv = [*command, "--data", str(tmp_path / "absent")]
            cases[f"{command[0]} on nothing"] = Case(argv, ["--data"], data=False, code=(2,))
    for name in ("loop", "file/inside", "x" * 300, "/proc/data"):
        argv = [*replay, *venue, "--data", str(tmp_path / name)]
        cases[f"data in {name[:9]}"] = Case(argv, ["cannot use the data folder", "--data"], data=False, code=(2,))
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    wrong = failures(stored, tmp_path, cases)
    left = {str(p) for p in tmp_path.rglob("*") if not p.name.startswith("case")} - set(before)
    assert not wrong
    assert not left


def test_settings_that_are_wrong(stored: Stored, tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    written = {
        "journl = 1": ["'journl'", "did you mean 'journal'?"],
        "[candles]\nlatness_ms = 5": ["'candles.latness_ms'", "did you mean 'candles.lateness_ms'?"],
        "[candles]\nlateness_ms = 'x'": ["'candles.lateness_ms'", "integer"],
        "[candles]\nlateness_ms = -1": ["'candles.lateness_ms'", "greater than or equal to 0"],
        "[candles]\ntimeframes = ['5min']": ["unknown timeframe '5min'", "did you mean '5m'?"],
        "[journal]\nsegment_bytes = -1": ["'journal.segment_bytes'", "greater than 0"],
        "[journal]\nsegment_bytes = 5": ["journal.segment_bytes must be at least"],
        "[[strategies]]\nname = 'rsii'": ["unknown strategy 'rsii'", "did you mean 'rsi'?"],
        "[[strategies]]\nname = 'rsi'\nparams = {lenght = 3}": ["'lenght'", "did you mean 'length'?"],
        "[[strategies]]\nname = 'rsi'\nparams = {length = 1}": ["length", "1"],
        "[[strategies]]\nname = 'rsi'\nparams = {length = nan}": ["length", "nan"],
        "[[strategies]]\nname = 'rsi'\nparams = {length = 'x'}": ["length"],
        "[[strategies]]\nname = 'rsi'\ntimeframe = '7m'": ["unknown timeframe '7m'"],
        "[[strategies]]\nname = 'rsi'\ninstruments = ['../../x']": ["'../../x'", "venue:BASE-QUOTE"],
        "[[strategies]]\nname = 'rsi'\ninstruments = ['a\\u0000b']": ["venue:BASE-QUOTE"],
        "[[strategies]]\nname = 'rsi'\nparms = {}": ["did you mean 'strategies.params'?"],
        "strategies = 5": ["'strategies'"],
        "log = 'loud'": ["'log'", "'debug'"],
        "log = ": ["not valid TOML"],
        "log = 'info'\nlog = 'info'": ["not valid TOML"],
        f"[ledger]\nurl = 'mysql://ann:{secret}@db/t'": ["ledger"],
        f"[ledger]\nurl = 'postgresql://ann:{secret}@127.0.0.1:1/t'": ["127.0.0.1"],
    }
    cases = {}
    for number, (text, says) in enumerate(written.items()):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        argv = ["replay", str(stored.recording), "--venue", "binance", "--config", str(path)]
        cases[text] = Case(argv, says)
    (tmp_path / "latin-1.toml").write_bytes("log = 'é'".encode("latin-1"))
    (tmp_path / "nul.toml").write_text('data = "a\\u0000b"')
    replay = ["replay", str(stored.recording), "--venue", "binance"]
    cases["latin-1"] = Case([*replay, "--config", str(tmp_path / "latin-1.toml")], ["not valid TOML"], code=(2,))
    cases["nul"] = Case([*replay, "--config", str(tmp_path / "nul.toml")], ["data"], data=False, code=(2,))
    for name, value, says in (
        ("TIDEMILL_JURNAL__MAX_BYTES", "5", "did you mean 'TIDEMILL_JOURNAL__MAX_BYTES'?"),
        ("TIDEMILL_LEGDER__URL", secret, "did you mean 'TIDEMILL_LEDGER__URL'?"),
        ("TIDEMILL_CANDLES", "{", "JSON"),
        ("TIDEMILL_LOG", "loud", "'debug'"),
        ("TIDEMILL_CANDLES__LATENESS_MS", "abc", "'candles.lateness_ms'"),
        ("TIDEMILL_CONFIG", "absent", "absent: No such file"),
    ):
        cases[name] = Case(replay, [says], env={name: value}, code=(2,))
    wrong = failures(stored, tmp_path, cases)
    assert not wrong
    assert not [path for path in tmp_path.glob("case*.err") if secret in path.read_text()]


def test_questions_that_are_wrong(stored: Stored, tmp_path: Path) -> None:
    asked = {
        "SELECT * FROM traeds": 'Did you mean "trades"?',
        "SELECT pirce FROM trades": '"price"',
        "FROM ohlcv('binance:BTC-USDT', '5min')": "unknown timeframe; known: 1s, 1m, 3m, 5m",
        "SELEC 1": 'at or near "SELEC"',
        "DROP VIEW trades; DELETE FROM lake.trades": "read-only",
    }
    for query, says in asked.items():
        done = tidemill("sql", query, "--data", str(stored.data), cwd=tmp_path, stdin=subprocess.DEVNULL)
        *pointing, line = done.stderr.splitlines()
        assert done.returncode in (1, 2)
        assert done.stdout == ""
        assert line.startswith("tidemill: ")
        assert says in line
        assert not pointing or (len(pointing) == 2 and pointing[0] == f"LINE 1: {query}"), done.stderr
    assert list(tmp_path.iterdir()) == []
    assert not serving(stored.data)
    assert fingerprint(stored.data) == stored.before


def test_bad_frames_among_good_ones_go_to_quarantine(stored: Stored, tmp_path: Path) -> None:
    bad = [
        *(frame(price, number=n) for n, price in enumerate(("NaN", "0", "-1", "1e5", "1234567890.123456"), 1)),
        *(frame(size=size, number=n) for n, size in enumerate(("0", "NaN", "12345678901234567890"), 6)),
        b"not a frame\n",
        b'1736121600000000000 {"e":"trade"\n',
        b"\x00\xff\xfe\n",
    ]
    good = [frame(number=n) for n in range(100, 400)]
    lines = good[:150] + bad + good[150:]
    path = tmp_path / "mixed.ws"
    path.write_bytes(b"".join(lines))
    data = tmp_path / "data"
    done = tidemill("replay", str(path), "--venue", "binance", "--data", str(data), "--json")
    assert (done.returncode, said(done.stderr)) == (0, "")
    told = json.loads(done.stdout)
    assert (told["records"], told["stored"], told["quarantined"]) == (len(lines), len(good), len(bad))
    found = fingerprint(data)
    assert found["trades"][0] == len(good)
    assert found["unread"] == {"replay-binance": len(bad)}


def started(stored: Stored, data: Path, speed: int = 15, **options: Any) -> "subprocess.Popen[str]":
    """Begin a slow replay, and return when it is under way."""
    argv = ["replay", str(stored.recording), "--venue", "binance", "--data", str(data), "--speed", str(speed)]
    before = reached(data)
    process = subprocess.Popen(
        [*TIDEMILL, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    deadline = time.monotonic() + 60
    while reached(data) <= before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(1.5)
    assert process.poll() is None
    return process


def reached(data: Path) -> int:
    with Journal(data / "journal") as journal:
        return journal.last_offset("replay-binance")


def wait_until_nothing_serves(data: Path) -> None:
    deadline = time.monotonic() + 5
    while serving(data) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not serving(data)


def test_a_second_process_is_told_who_writes(stored: Stored, tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = started(stored, data)
    try:
        second = tidemill("replay", str(stored.recording), "--venue", "binance", "--data", str(data))
        assert (second.returncode, second.stdout) == (1, "")
        assert f"is written by process {first.pid} (replay {stored.recording.name})" in second.stderr
        assert second.stderr.count("\n") == 1
        query = tidemill("sql", "SELECT count(*) FROM trades", "--data", str(data), stdin=subprocess.DEVNULL)
        status = tidemill("status", "--json", "--data", str(data))
        assert (query.returncode, query.stderr, status.returncode, status.stderr) == (0, "", 0, "")
        assert json.loads(status.stdout)["feeds"][0]["journal_offset"] > 0
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=30)
    assert first.returncode == 130
    wait_until_nothing_serves(data)


def test_a_replay_ended_in_the_middle_is_completed_by_the_next(stored: Stored, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        process = started(stored, data)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, said(err)) == (code, "", "")
        wait_until_nothing_serves(data)
    done = tidemill("replay", str(stored.recording), "--venue", "binance", "--data", str(data))
    assert (done.returncode, said(done.stderr)) == (0, "")
    assert comparable(data) == comparable(stored.data)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a disk, or change the size of the one that is mounted."""
    mount = shutil.which("mount")
    if mount is None or sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a small disk needs Linux and root")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not permitted here")

    def resized(size: str) -> Path:
        subprocess.run([mount, "-o", f"remount,size={size}", folder], check=True)
        return folder

    yield resized
    subprocess.run(["umount", folder], check=True)


def without_panic(err: str) -> str:
    """Leave out what the dataflow engine's compiled half writes where its own store has no room left.

    A disk that others fill within the hundredth of a second before a snapshot is not noticed in time.
    """
    return err[err.index("tidemill: ") :] if err.startswith("thread '<unnamed>' panicked") else err


def fill(disk: Path, left: int) -> Path:
    """Leave so many bytes on a disk."""
    ballast = disk / "ballast"
    space = os.statvfs(disk)
    with ballast.open("wb") as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize - left)
    return ballast


def test_a_full_disk_stops_a_replay_and_loses_nothing(
    stored: Stored, small_disk: Callable[[str], Path], tmp_path: Path
) -> None:
    data = small_disk("30m") / "data"
    replay = ["replay", str(stored.recording), "--venue", "binance", "--data", str(data)]
    environ = {**os.environ, "TIDEMILL_JOURNAL__SEGMENT_BYTES": "1000000"}

    def refused(done: "subprocess.CompletedProcess[str]", *codes: int) -> None:
        assert done.returncode in codes
        assert done.stdout == ""
        err = without_panic(said(done.stderr))
        assert err.startswith("tidemill: the disk of the data folder ")
        assert "free some space" in err
        assert err.count("\n") == 1
        wait_until_nothing_serves(data)

    refused(tidemill(*replay, env=environ), 2)
    assert not data.exists() or not list(data.iterdir())
    small_disk("70m")
    refused(tidemill(*replay, env=environ), 1)
    small_disk("400m")
    for left in (20_000_000, 0):
        process = started(stored, data, env=environ)
        ballast = fill(data.parent, left)
        out, err = process.communicate(timeout=60)
        refused(subprocess.CompletedProcess([], process.returncode, out, err), 1)
        refused(tidemill(*replay, env=environ), 2)
        ballast.unlink()
        found = fingerprint(data)
        assert 0 < found["trades"][0] < stored.before["trades"][0]
    done = tidemill(*replay, env=environ)
    assert (done.returncode, said(done.stderr)) == (0, "")
    assert comparable(data) == comparable(stored.data)
