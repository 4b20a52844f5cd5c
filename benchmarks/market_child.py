"""The measured half of `benchmarks.market`: one process, pinned to one core, runs the market dataflow.

Run as ``python -m benchmarks.market_child decode|flow DATA_FOLDER``; prints one line of JSON.
"""

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from benchmarks.machine import peak_memory, waited
from benchmarks.recording import FEED, VENUE
from core.candle_fold import CandleFold, fold_trades
from core.records import Kind
from core.settings import Settings
from core.timeframes import TIMEFRAMES
from dataflows.decode import Arrivals, Decoder
from dataflows.running import run
from dataflows.system import System, opened
from storage.data_folder import DataFolder
from storage.journal import Journal

READ = 8_192
DECODED = 500_000
"""Frames of the baseline at most: its rate does not depend on how many there are."""


class BareTrade(msgspec.Struct):
    e: str
    E: int
    s: str
    t: int
    p: str
    q: str
    T: int
    m: bool
    M: bool


class BareFrame(msgspec.Struct):
    stream: str
    data: BareTrade


@dataclass(frozen=True, slots=True)
class Ran:
    """Hold what one run of the dataflow did.

    ``seconds`` is the flow alone, ``waited`` the part of it in which others held the core, ``whole`` the process
    from its start.
    """

    trades: int
    candles: int
    signals: int
    commits: int
    seconds: float
    cpu: float
    waited: float
    whole: float
    peak_mib: float


def pin(core: int) -> None:
    """Hold every thread of this process, those of the libraries as well, to one core."""
    if hasattr(os, "sched_setaffinity"):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), {core})


def decode(data: Path) -> float:
    """Give frames/s of reading every frame of the recording into a msgspec Struct and dropping it."""
    frames: list[bytes] = []
    with Journal(DataFolder(data).journal) as journal:
        after = -1
        while len(frames) < DECODED and (block := journal.read(FEED, after, READ)) is not None:
            frames.extend(record.payload for record in block.records() if record.kind is Kind.FRAME)
            after = block.last_offset
    read = msgspec.json.Decoder(BareFrame).decode
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        for frame in frames:
            read(frame)
        best = max(best, len(frames) / (time.perf_counter() - began))
    return best


def flow(data: Path, core: int) -> Ran:
    """Run the dataflow from the recording's first record to its last and count what the lake holds then."""
    settings = Settings(data=data)
    with opened(settings, "benchmark") as system:
        pin(core)
        system.ledger.register_feed(FEED, VENUE)
        end = system.journal.last_offset(FEED)
        load(system)
        reading = system.reading(until=lambda feed: end)
        idle, before, began = waited(), time.process_time(), time.perf_counter()
        run(system.flow(reading), system.recovery, reading)
        seconds, cpu = time.perf_counter() - began, time.process_time() - before
        return Ran(
            *counted(system),
            system.told.signals,
            system.written.commits,
            seconds,
            cpu,
            waited() - idle,
            time.time() - started(),
            peak_memory(),
        )


def load(system: System) -> None:
    """Load the compiled loops, as the first block of a process does: numba imports a good part of itself for it."""
    block = system.journal.read(FEED, -1, 64)
    if block is not None:
        for arrivals in Decoder({FEED: VENUE})(None, block)[1]:
            if isinstance(arrivals, Arrivals) and arrivals.trades is not None:
                fold_trades(CandleFold.start(arrivals.instrument, TIMEFRAMES["1m"], 0), arrivals.trades)


def counted(system: System) -> tuple[int, int]:
    rows = system.session.execute(
        "SELECT (SELECT count(*) FROM lake.trades), (SELECT count(*) FROM lake.candles)"
    ).fetchone()
    return rows if rows else (0, 0)


def started() -> float:
    """Give when this process was started, in seconds since the epoch."""
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    work, data, core = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if work == "decode":
        pin(core)
        print(json.dumps(decode(data)))
    else:
        print(json.dumps(asdict(flow(data, core))))


if __name__ == "__main__":
    main()
