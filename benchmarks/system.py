"""The whole system as `tidemill up` runs it: how soon it shows a candle, and what it costs while little happens."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.machine import scratch
from benchmarks.table import Row

_CONFIG = """
data = "{data}"
[metrics]
port = 0
[simulator]
port = 0
"""
SETTLE, SECONDS = 60, 60
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_MARKET_BYTES = 400


def ask(run: Path, component: str, route: str) -> Any:
    """Ask a component's endpoint; None while it does not answer."""
    try:
        port = json.loads((run / f"{component}.json").read_text())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{route}", timeout=2) as answer:
            return json.load(answer)
    except (OSError, ValueError, KeyError):
        return None


def shows_candle(board: Any) -> bool:
    return bool(board) and any(one["closed"] and one["values"] for one in board["instruments"])


def spent(pid: int) -> float:
    """Give the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> float:
    """Give a process's resident memory in MiB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def measure(folder: Path, settle: float, seconds: float) -> tuple[float, dict[str, float], dict[str, list[float]]]:
    """Give the seconds to the first candle, each process's share of a core, and its memory before and after."""
    config = folder / "tidemill.toml"
    config.write_text(_CONFIG.format(data=folder / "data"))
    run = folder / "data" / "run"
    with (folder / "up.log").open("wb") as log:
        began = time.monotonic()
        up = subprocess.Popen(
            [sys.executable, "-m", "tidemill", "up", "--plain", "--config", config], stdout=log, stderr=log
        )
    try:
        while not shows_candle(ask(run, "market", "/board")):
            assert up.poll() is None, (folder / "up.log").read_text()
            time.sleep(0.05)
        first = time.monotonic() - began
        time.sleep(settle)
        pids = {
            path.stem: json.loads(path.read_text())["pid"] for path in run.glob("*.json") if path.stem != "settings"
        }
        before, memory, at = (
            {n: spent(p) for n, p in pids.items()},
            {n: [resident(p)] for n, p in pids.items()},
            time.monotonic(),
        )
        time.sleep(seconds)
        passed = time.monotonic() - at
        shares = {name: (spent(pid) - before[name]) / passed for name, pid in pids.items()}
        for name, pid in pids.items():
            memory[name].append(resident(pid))
    finally:
        up.terminate()
        up.wait(60)
    return first, shares, memory


def rows(quick: bool = False) -> list[Row]:
    with scratch() as folder:
        first, shares, memory = measure(folder, *((5, 5) if quick else (SETTLE, SECONDS)))
    worst = max(shares.values())
    listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    sizes = ", ".join(f"{name} {after:.0f} ({after - begin:+.1f})" for name, (begin, after) in memory.items())
    return [
        Row("`up` on an empty folder to the first candle with its RSI", f"{first:.1f} s", "≤ 15 s", "–", first <= 15),
        Row(
            f"CPU of each process, the default market (about 40 trades/s): {listed}",
            f"{worst:.1%} at most",
            "≤ 5 % idle",
            "–",
            worst <= 0.05,
        ),
        Row(
            f"memory of each process, MiB (change in {SECONDS} s): {sizes}",
            f"market {memory['market'][1]:.0f} MiB",
            "≤ 400 MiB",
            "–",
            memory["market"][1] <= _MARKET_BYTES,
        ),
    ]


if __name__ == "__main__":
    for row in rows("--quick" in sys.argv):
        print(row)
