"""Nothing lost, nothing twice: whatever is killed, the rows are those of a run that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from core.records import Kind, Mark, Record
from core.timeframes import MINUTE
from dataflows.system import opened
from simulator.disturbance import Disturbance
from simulator.frames import invent
from storage import recordings
from storage.data_folder import DataFolder
from storage.journal import Journal

sys.path.insert(0, str(Path(__file__).parent))
import contextlib

from rows import everything
from worker import settings_of, work_off

WORKER = Path(__file__).parent / "worker.py"
DISTURBANCE = Disturbance(
    seed=5, hole=0.0004, hole_length=3, duplicate=0.01, reorder=0.01, late=0.0005, garbage=0.0005, window=400_000
)


def fill(data: Path, recording: Path) -> None:
    """Put the recording into the journal of a new data folder, and register its feed."""
    with opened(settings_of(data), "fill") as system:
        system.ledger.register_feed("invented", "simulated")
        frames = with_quotes_and_candles(recordings.frames([recording]))
        while group := list(islice(frames, 2_000)):
            system.journal.append("invented", group)
        system.journal.append("invented", [Mark("ended").record(group[-1].received_at if group else 0)])


def with_quotes_and_candles(frames: Iterator[Record]) -> Iterator[Record]:
    """Let the venue tell quotes beside the trades, and each minute its candle."""
    minute = 0
    for number, record in enumerate(frames, 1):
        yield record
        if number % 3 == 0:
            symbol = ("BTCUSDT", "ETHUSDT")[number % 2]
            best = f'"b":"{100 + number % 7}.5","B":"1","a":"108","A":"{number}"'
            yield Record(Kind.FRAME, record.received_at, f'{{"u":{number},"s":"{symbol}",{best}}}'.encode())
        if record.received_at // MINUTE > minute:
            start = (minute or record.received_at // MINUTE - 1) * MINUTE
            minute = record.received_at // MINUTE
            candle = f'"t":{start // 1000},"s":"BTCUSDT","i":"1m","f":1,"L":2,"n":2,"x":true'
            sums = '"o":"1","c":"2","h":"2","l":"1","v":"3.5","q":"5","V":"1","Q":"2"'
            told = f'{{"e":"kline","E":{start // 1000 + 60_000},"s":"BTCUSDT","k":{{{candle},{sums}}}}}'
            yield Record(Kind.FRAME, record.received_at, told.encode())


def start(role: str, data: Path) -> subprocess.Popen:
    log = (data / f"{role}.log").open("ab")
    with log:
        return subprocess.Popen([sys.executable, WORKER, role, data], stdout=log, stderr=log)


def postmaster(data: Path) -> int | None:
    pid = next(DataFolder(data).ledger.rglob("postmaster.pid"), None)
    try:
        return int(pid.read_text().split()[0]) if pid else None
    except (FileNotFoundError, ValueError, IndexError):
        return None


def kill(victims: str, processes: dict[str, subprocess.Popen], data: Path) -> None:
    for role, process in processes.items():
        if victims in (role, "all"):
            process.kill()
            process.wait()
    if victims in ("postgres", "all") and (pid := postmaster(data)) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def worked_off_under_fire(data: Path, kills: int, seed: int) -> int:
    """Run dataflow and reviser, killing at random; give how many kills hit while the journal was worked off."""
    random_ = random.Random(seed)
    processes: dict[str, subprocess.Popen] = {}
    done = 0
    deadline = time.monotonic() + 60 + kills * 20
    try:
        while time.monotonic() < deadline:
            for role in ("flow", "reviser"):
                process = processes.get(role)
                if process is None or process.poll() not in (None, 0):
                    processes[role] = start(role, data)
            until = time.monotonic() + random_.choice((0.2, 1.0, 2.0, 3.0, 4.0)) * random_.random() + 0.05
            while time.monotonic() < until and processes["flow"].poll() is None:
                time.sleep(0.01)
            if processes["flow"].poll() == 0:
                return done
            if done < kills:
                kill(random_.choice(("flow", "flow", "reviser", "postgres", "all")), processes, data)
                done += 1
            else:
                processes["flow"].wait(timeout=120)
        raise AssertionError((data / "flow.log").read_text()[-3000:])
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def finish(data: Path) -> None:
    with opened(settings_of(data), "finish") as system:
        work_off(system, 8_192, 1)
        system.revise()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A recording with holes, repeats, late trades and garbage, and what a run that is left alone makes of it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recording = invent(folder / "invented.ws", seed=11, duration=45 * MINUTE, disturbance=DISTURBANCE)
    fill(folder / "data", recording.path)
    finish(folder / "data")
    return recording, everything(settings_of(folder / "data"))


def compare(data: Path, expected: dict[str, list[tuple]]) -> None:
    found = everything(settings_of(data))
    for name, rows in expected.items():
        assert len(found[name]) == len(rows), name
        assert found[name] == rows, name


def test_the_run_that_is_left_alone_knows_exactly_what_was_disturbed(undisturbed):
    recording, rows = undisturbed
    truth = recording.truth
    stored = {(row[0], row[2]) for row in rows["trades"]}
    assert len(stored) == len(rows["trades"]), "no trade twice"
    assert not stored & truth.dropped
    assert len(stored) + len(truth.dropped) == len({*stored, *truth.dropped})
    assert rows["signals"]
    assert rows["gaps"]
    assert rows["unread"]
    assert len(rows["quotes"]) > 2_000
    assert len(rows["venue_candles"]) > 40
    assert rows["twice"] == [(0,)]
    assert not rows["dirty"]
    assert len(rows["unread"]) == len(truth.garbage)


@pytest.mark.timeout(280)
def test_kills_of_dataflow_reviser_and_postgres_change_nothing(undisturbed, tmp_path):
    recording, expected = undisturbed
    data = tmp_path / "data"
    fill(data, recording.path)
    assert worked_off_under_fire(data, kills=5, seed=3) == 5
    finish(data)
    compare(data, expected)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_kills_change_nothing(undisturbed, tmp_path):
    recording, expected = undisturbed
    hits = seed = 0
    while hits < 200:
        data = tmp_path / f"data{seed}"
        fill(data, recording.path)
        hits += worked_off_under_fire(data, kills=12, seed=seed)
        finish(data)
        compare(data, expected)
        seed += 1
        print(f"{hits} kills, {seed} journals worked off, all rows equal", flush=True)


def test_nothing_of_the_journal_is_needed_twice(undisturbed, tmp_path):
    recording, expected = undisturbed
    data = tmp_path / "data"
    fill(data, recording.path)
    finish(data)
    with Journal(data / "journal") as journal:
        records = list(islice(recordings.frames([recording.path]), 5_000))
        journal.append("invented", records)
    finish(data)
    found = everything(settings_of(data))
    for name in ("trades", "first", "latest", "signals", "gaps", "coverage"):
        assert found[name] == expected[name], name
