"""The recorder, from the socket to durable, against a bare client of websockets that decodes and keeps nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.machine import scratch
from benchmarks.recorder_child import FEED, Message
from benchmarks.table import Row
from core.records import Kind
from storage.data_folder import DataFolder
from storage.journal import Journal

FLOOD = 1_000_000
RATE, SECONDS = 10_000, 20
ROUNDS = 3
ROOT = Path(__file__).parents[1]
_WARM_UP = 1.0
_PATIENCE = 60.0


class Measured(NamedTuple):
    """Hold frames/s, the share of a core that was used meanwhile, and how many frames did not come."""

    rate: float
    cpu: float
    lost: int

    @property
    def by_cpu(self) -> float:
        """Give the frames/s of a core that does nothing else."""
        return self.rate / self.cpu


class Child:
    """Talk with a process of `benchmarks.recorder_child`, a line at a time."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "benchmarks.recorder_child", *map(str, arguments)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> Any:
        return json.loads(self.process.stdout.readline())

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def cpu(self) -> float:
        self.say("cpu")
        return self.hear()


@contextmanager
def child(*arguments: object) -> Iterator[Child]:
    one = Child(*arguments)
    try:
        yield one
        one.say("stop")
        if one.process.wait(30):
            raise SystemExit(f"{arguments[0]} ended with {one.process.returncode}")
    finally:
        if one.process.poll() is None:
            one.process.kill()
        one.process.stdin.close()
        one.process.stdout.close()
        one.process.wait()


def recorded(root: Path, count: int, rate: int) -> Measured:
    """Record ``count`` trades, sent at ``rate`` a second (0: at once)."""
    DataFolder(root).prepare()
    with child("send", count, rate) as sender:
        url = f"127.0.0.1:{sender.hear()}"
        with child("record", url, root, count) as recorder, Journal(DataFolder(root).journal) as journal:
            sender.hear()
            time.sleep(_WARM_UP)
            before = recorder.cpu()
            sender.say("go")
            began = sender.hear()
            while trades(journal) < count and time.monotonic() < began + count / (rate or 20_000) + _PATIENCE:
                time.sleep(0.01)
            ended, after = time.monotonic(), recorder.cpu()
        with Journal(DataFolder(root).journal) as journal:
            ids = list(numbers(journal))
    if ids != sorted(ids):
        raise SystemExit("the trades are not in order")
    return Measured(count / (ended - began), (after - before) / (ended - began), count - len(set(ids)))


def trades(journal: Journal) -> int:
    """Give how many records there are, less the few that are no frames of trades."""
    return journal.last_offset(FEED) + 1


def numbers(journal: Journal) -> Iterator[int]:
    decode, after = msgspec.json.Decoder(Message).decode, -1
    while (block := journal.read(FEED, after, 10_000)) is not None:
        for record in block.records():
            if record.kind == Kind.FRAME and record.payload.startswith(b'{"stream"'):
                yield decode(record.payload).data.t
        after = block.last_offset


def received(count: int, rate: int) -> Measured:
    """Receive the same trades with a bare client."""
    with child("send", count, rate) as sender:
        url = f"127.0.0.1:{sender.hear()}"
        with child("bare", url, count) as receiver:
            sender.hear()
            time.sleep(_WARM_UP)
            before = receiver.cpu()
            sender.say("go")
            began, ended = sender.hear(), receiver.hear()
            used = receiver.cpu() - before
    return Measured(count / (ended - began), used / (ended - began), 0)


def rows(quick: bool = False) -> list[Row]:
    flood, seconds, rounds = (100_000, 2, 1) if quick else (FLOOD, SECONDS, ROUNDS)
    floods, bare_floods = [], []
    with scratch() as root:
        for number in range(rounds):
            floods.append(recorded(root / f"flood{number}", flood, 0))
            bare_floods.append(received(flood, 0))
        paced, bare = recorded(root / "paced", RATE * seconds, RATE), received(RATE * seconds, RATE)
    best, lost = max(floods), paced.lost + sum(one.lost for one in floods)
    return [
        Row(
            f"recorder, socket to durable, {flood:,} frames at once",
            f"{best.rate:,.0f} frames/s (slowest of {rounds}: {min(floods).rate:,.0f};"
            f" by CPU time {best.by_cpu:,.0f})",
            "≥ 100,000 frames/s",
            f"websockets + msgspec {max(bare_floods).rate:,.0f} (by CPU time {max(bare_floods).by_cpu:,.0f})",
            best.rate >= 100_000,
        ),
        Row(
            f"recorder, CPU at {RATE:,} frames/s for {seconds} s",
            f"{paced.cpu:.1%} of a core",
            "≤ 15 % of a core",
            f"websockets + msgspec {bare.cpu:.1%}",
            paced.cpu <= 0.15,
        ),
        Row(
            "recorder, frames lost by count",
            f"{lost} of {flood * rounds + RATE * seconds:,}",
            "0",
            "–",
            lost == 0,
        ),
    ]


if __name__ == "__main__":
    for row in rows("--quick" in sys.argv):
        print(row)
