"""The journal against LMDB: durable appends of 100 frames of 200 bytes, and reading them back."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import lmdb

from benchmarks.machine import scratch
from benchmarks.table import Row
from core.records import Kind, Record
from storage.journal import Journal

BATCH = 100
BATCHES = 5_000
ROUNDS = 3
LIMIT = 8_192
FRAMES = [Record(Kind.FRAME, 1_700_000_000_000_000 + i, b"x" * 200) for i in range(BATCH)]
KEY = struct.Struct(">Q")


def commits(append: Callable[[], object], batches: int) -> tuple[float, float]:
    """Give frames/s and the 99th percentile of one durable append, in seconds."""
    took = []
    began = time.perf_counter()
    for _ in range(batches // ROUNDS):
        start = time.perf_counter()
        append()
        took.append(time.perf_counter() - start)
    rate = len(took) * BATCH / (time.perf_counter() - began)
    return rate, sorted(took)[int(len(took) * 0.99)]


def lmdb_append(env: lmdb.Environment) -> Callable[[], None]:
    last = [-1]

    def append() -> None:
        with env.begin(write=True) as transaction:
            for record in FRAMES:
                last[0] += 1
                value = struct.pack("<Bq", record.kind, record.received_at) + record.payload
                transaction.put(KEY.pack(last[0]), value, append=True)

    return append


def read_journal(journal: Journal) -> float:
    began, after = time.perf_counter(), -1
    while (block := journal.read("bench", after, LIMIT)) is not None:
        after = block.last_offset
    return (after + 1) / (time.perf_counter() - began)


def read_lmdb(env: lmdb.Environment) -> float:
    began, count = time.perf_counter(), 0
    with env.begin() as transaction:
        for _, value in transaction.cursor():
            struct.unpack_from("<Bq", value)
            count += len(value[9:]) > 0
    return count / (time.perf_counter() - began)


def measure(root: Path, batches: int) -> dict[str, tuple[float, float]]:
    """Give (ours, LMDB's) figures; the two take turns, so that both meet the same machine."""
    env = lmdb.open(str(root / "lmdb"), map_size=1 << 30, sync=True)
    with Journal(root / "journal") as journal:
        ours: Callable[[], object] = lambda: journal.append("bench", FRAMES)  # noqa: E731
        theirs = lmdb_append(env)
        ours(), theirs()
        pairs = [(commits(ours, batches), commits(theirs, batches)) for _ in range(ROUNDS)]
        reads = [(read_journal(journal), read_lmdb(env)) for _ in range(ROUNDS)]
    env.close()
    return {
        "append": (max(a[0] for a, _ in pairs), max(b[0] for _, b in pairs)),
        "p99": (min(a[1] for a, _ in pairs), min(b[1] for _, b in pairs)),
        "read": (max(a for a, _ in reads), max(b for _, b in reads)),
    }


def rows(quick: bool = False) -> list[Row]:
    with scratch() as root:
        found = measure(root, 600 if quick else BATCHES)
    (append, append_lmdb), (p99, p99_lmdb), (read, read_lmdb_) = found["append"], found["p99"], found["read"]
    return [
        Row(
            f"journal append, durable, {BATCH} frames of 200 bytes a commit",
            f"{append:,.0f} frames/s",
            "≥ 300,000 frames/s",
            f"LMDB {append_lmdb:,.0f}",
            append >= 300_000,
        ),
        Row(
            "journal commit p99",
            f"{p99 * 1000:.2f} ms",
            "< 1 ms",
            f"LMDB {p99_lmdb * 1000:.2f} ms",
            p99 < 0.001,
        ),
        Row(
            f"journal read back, {LIMIT} records a call",
            f"{read:,.0f} records/s",
            "≥ 1,000,000 records/s",
            f"LMDB {read_lmdb_:,.0f}",
            read >= 1_000_000,
        ),
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)
