"""A data folder that holds a replayed recording, and ways to do wrong to it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
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

TIDEMILL = [sys.executable, "-c", "from tidemill.cli import main; main()"]

PROGRESS = re.compile(r"([0-9]+%, )?(checking the files|folding|revising), [0-9,]+ trades\n")

# Loads everything once and forks for each command: a process of its own, without the second that imports take.
FORKS = """
import json, os, sys
import dataflows.replay, storage.catalog, tidemill.cli, tidemill.command_line
import tidemill.commands.replay, tidemill.commands.sql, tidemill.commands.status, tidemill.commands.migrate
import tidemill.commands.parse
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
class Case:
    argv: Sequence[str]
    says: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    data: bool = True
    code: tuple[int, ...] = (1, 2)


@dataclass(slots=True)
class Stored:
    """The folder, the recording that it holds, and a process that runs commands on it."""

    data: Path
    recording: Path
    forks: "subprocess.Popen[str]"
    before: dict[str, object] = field(default_factory=dict)
    case: type[Case] = Case

    def run(self, cwd: Path, argv: Sequence[str], env: Mapping[str, str]) -> tuple[int, str, str]:
        out, err = (cwd.with_name(f"{cwd.name}.{name}") for name in ("out", "err"))
        job = {"cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err), "argv": list(argv)}
        assert self.forks.stdin is not None
        assert self.forks.stdout is not None
        self.forks.stdin.write(json.dumps(job) + "\n")
        self.forks.stdin.flush()
        code = int(self.forks.stdout.readline())
        return code, out.read_text("utf-8", "replace"), self.said(err.read_text("utf-8", "replace"))

    def failures(self, folder: Path, cases: Mapping[str, Case]) -> list[str]:
        """Run all cases; say what is wrong with each, and with what they left behind."""
        wrong = []
        for number, (name, case) in enumerate(cases.items()):
            cwd = folder / f"case{number}"
            cwd.mkdir()
            data = ["--data", str(self.data)] if case.data else []
            code, out, err = self.run(cwd, [*case.argv, *data], case.env)
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
        if left := list((self.data.parent / "tmp").iterdir()):
            wrong.append(f"temporary files: {left}")
        if running := self.serving(self.data):
            wrong.append(f"processes: {running}")
        if (now := self.fingerprint(self.data)) != self.before:
            wrong.append(f"stored data changed: {self.before} is now {now}")
        return wrong

    def started(self, data: Path, speed: int = 15, **options: Any) -> "subprocess.Popen[str]":
        """Begin a slow replay, and return when it is under way."""
        argv = ["replay", str(self.recording), "--venue", "binance", "--data", str(data), "--speed", str(speed)]
        before = self.reached(data)
        process = subprocess.Popen(
            [*TIDEMILL, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
        )
        deadline = time.monotonic() + 60
        while self.reached(data) <= before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1.5)
        assert process.poll() is None
        return process

    @staticmethod
    def tidemill(*argv: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*TIDEMILL, *argv], capture_output=True, text=True, timeout=120, check=False, **options)

    @staticmethod
    def said(err: str) -> str:
        """What a command said, without the lines of progress that a slow one writes each few seconds."""
        return "".join(line for line in err.splitlines(keepends=True) if not PROGRESS.match(line))

    @staticmethod
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

    @staticmethod
    def comparable(data: Path) -> dict[str, object]:
        """What a folder holds, but for what counts the attempts: the journal's and the lake's offsets."""
        return {name: rows for name, rows in Stored.fingerprint(data).items() if name not in ("journal", "offsets")}

    @staticmethod
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

    @staticmethod
    def frame(price: str = "100.5", size: str = "0.25", number: int = 1, symbol: str = "BTCUSDT") -> bytes:
        at = 1_736_121_600_000 + number
        return b'%d000000 {"e":"trade","E":%d,"s":"%b","t":%d,"p":"%b","q":"%b","T":%d,"m":false,"M":true}\n' % (
            *(at, at, symbol.encode(), number),
            *(price.encode(), size.encode(), at),
        )

    @staticmethod
    def reached(data: Path) -> int:
        with Journal(data / "journal") as journal:
            return journal.last_offset("replay-binance")

    @staticmethod
    def wait_until_nothing_serves(data: Path) -> None:
        deadline = time.monotonic() + 5
        while Stored.serving(data) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Stored.serving(data)


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stored]:
    made = InventedMarket(11)
    folder = tmp_path_factory.mktemp("bad-input")
    market = folder / "market.ws"
    write_recording(market, made, made.start, 4 * MINUTE)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMILL_")}
    (folder / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", FORKS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environ, "TMPDIR": str(folder / "tmp")},
        cwd=Path(__file__).parents[3],
    ) as forks:
        one = Stored(folder / "data", market, forks)
        done = one.tidemill("replay", str(market), "--venue", "binance", "--data", str(one.data))
        assert (done.returncode, one.said(done.stderr)) == (0, "")
        one.before = one.fingerprint(one.data)
        yield one
        assert forks.stdin is not None
        forks.stdin.close()
