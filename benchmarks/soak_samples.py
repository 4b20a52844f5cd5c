"""What the soak looks at every few seconds, and how it is kept: CSV, a row a sample."""

import csv
import json
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.processes import Usage, family, usage, usage_together

COMPONENTS = ("supervisor", "ledger", "recorder", "market", "reviser")
PROCESSES = (*COMPONENTS, "postgres", "exchange")
"""Postgres is the server with all its children; the exchange is the simulator, which is not part of the system."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Say what to run: how long (seconds), and over how many connections."""

    seconds: float
    instruments: int
    rate: float
    connections: int
    every: float = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Hold what was seen at one time, in seconds since the soak began.

    ``sockets`` are open, ``cut`` were cut at once by then; ``attempts`` to connect in the last five minutes,
    ``refused`` requests and attempts since the start. ``trades`` were taken by the dataflow, ``sent`` by the
    exchange, both since the start. ``waiting`` rows are for lake and ledger. Sizes in MiB.
    """

    at: float
    lag_records: int
    lag_seconds: float
    queue_bytes: int
    waiting: int
    trades: int
    sent: int
    sockets: int
    cut: int
    attempts: int
    refused: int
    lake_files: int
    recovery: float
    journal: float
    usage: dict[str, Usage] = field(default_factory=dict)


class System:
    """Look at a running `tidemill up` of one feed by its data folder, and at the exchange by its process."""

    def __init__(self, data: Path, exchange: int) -> None:
        self._data, self._exchange = data, exchange

    def port(self, component: str) -> int:
        return int(json.loads((self._data / "run" / f"{component}.json").read_text())["port"])

    def pids(self) -> dict[str, list[int]]:
        """Give the processes by name; those that are not there are left out."""
        found: dict[str, list[int]] = {"exchange": [self._exchange]}
        for name in COMPONENTS:
            path = self._data / "run" / f"{name}.json"
            if path.exists():
                found[name] = [int(json.loads(path.read_text())["pid"])]
        for path in (self._data / "ledger").rglob("postmaster.pid"):
            found["postgres"] = family(int(path.read_text().split()[0]))
        return found

    def usage(self) -> dict[str, Usage]:
        found = {name: usage_together(p) if len(p) > 1 else usage(p[0]) for name, p in self.pids().items()}
        return {name: one for name, one in found.items() if one is not None}

    def metrics(self, component: str) -> dict[str, float]:
        """Give a component's figures, summed over their labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(component)}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for family_ in text_string_to_metric_families(text):
            for one in family_.samples:
                found[one.name] = found.get(one.name, 0.0) + one.value
        return found

    def health(self, component: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(component)}/health", timeout=10) as answer:
            told: dict[str, object] = json.load(answer)
        return told

    def sample(self, began: float, figures: dict[str, int], cut: int) -> Sample:
        # Asking how the market is also measures how far it lags.
        self.health("market")
        market, recorder = self.metrics("market"), self.metrics("recorder")
        return Sample(
            round(time.monotonic() - began, 2),
            int(market["tidemill_lag_records"]),
            round(market["tidemill_lag_seconds"], 3),
            int(recorder["tidemill_recorder_queue_bytes"]),
            int(market["tidemill_waiting_rows"]),
            int(market["tidemill_trades_total"]),
            figures["sent"],
            figures["open"],
            cut,
            figures["attempts_now"],
            figures["refused"],
            sum(1 for _ in (self._data / "lake").rglob("*.parquet")),
            _size(self._data / "recovery"),
            _size(self._data / "journal"),
            self.usage(),
        )


def written(path: Path, samples: Sequence[Sample]) -> None:
    """Write samples as CSV."""
    plain = [one.name for one in fields(Sample) if one.name != "usage"]
    used = [f"{name} {what}" for name in PROCESSES for what in ("rss", "anonymous", "cpu")]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow([*plain, *used])
        for one in samples:
            of = {f"{n} {w}": round(v, 2) for n, u in one.usage.items() for w, v in asdict(u).items()}
            table.writerow([*(getattr(one, name) for name in plain), *(of.get(name, "") for name in used)])


def read(path: Path) -> dict[str, list[float]]:
    """Read the columns of a CSV; what was not measured is NaN."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) if row[name] else float("nan") for row in rows] for name in rows[0]}


def _size(folder: Path) -> float:
    # What is preallocated and not yet written counts as well: it is taken from the disk.
    blocks = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            blocks += path.lstat().st_blocks
    return blocks * 512 / 1024**2
