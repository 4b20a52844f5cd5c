"""The market dataflow, journal to lake, against bare decoding of the same frames; both pinned to one core."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.machine import scratch
from benchmarks.market_child import Ran
from benchmarks.recording import record
from benchmarks.table import Row
from storage.data_folder import DataFolder

TRADES = 2_000_000
ROUNDS = 3
ROOT = Path(__file__).parents[1]
GOAL, NEXT = 500_000, 1_000_000


def child(work: str, data: Path) -> Any:
    """Run one measurement in a process of its own on the first core that this process may use."""
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    arguments = [sys.executable, "-m", "benchmarks.market_child", work, str(data), str(core)]
    return json.loads(subprocess.run(arguments, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)


def measure(root: Path, trades: int, rounds: int) -> tuple[list[Ran], float]:
    """Give each run of the dataflow, and the frames/s of bare decoding; a run that lost a trade is an error."""
    record(root / "recorded", trades)
    runs, decoded = [], 0.0
    for number in range(rounds):
        decoded = max(decoded, child("decode", root / "recorded"))
        # The dataflow begins in a new folder each time; the recording moves on to the next.
        data = root / f"run{number}"
        DataFolder(data).prepare()
        (root / "recorded" / "journal").rename(data / "journal")
        runs.append(Ran(**child("flow", data)))
        (data / "journal").rename(root / "recorded" / "journal")
        shutil.rmtree(data)
        if runs[-1].trades != trades:
            raise SystemExit(f"{trades} trades were recorded, the lake holds {runs[-1].trades}")
    return runs, decoded


def rows(quick: bool = False) -> list[Row]:
    trades, rounds = (300_000, 1) if quick else (TRADES, ROUNDS)
    with scratch() as root:
        runs, decoded = measure(root, trades, rounds)
    best = min(runs, key=lambda run: run.seconds)
    slowest = max(run.seconds for run in runs)
    rate, peak = trades / best.seconds, max(run.peak_mib for run in runs)
    return [
        Row(
            f"journal → decode → candles → RSI signals → lake, one core, {trades:,} trades,"
            f" {best.candles:,} candles, {best.signals:,} signals, {best.commits} commits",
            f"{rate:,.0f} trades/s (others held the core for {best.waited / best.seconds:.0%} of the time;"
            f" slowest of {rounds}: {trades / slowest:,.0f}; by CPU time {trades / best.cpu:,.0f};"
            f" start and server included {trades / best.whole:,.0f})",
            f"≥ {GOAL:,} trades/s, then {NEXT:,}",
            f"msgspec {decoded:,.0f} frames/s",
            rate >= GOAL,
        ),
        Row(
            "the same, as a part of bare decoding",
            f"{rate / decoded:.2f}",
            "≥ 0.25, then 0.5",
            "the same run",
            rate / decoded >= 0.25,
        ),
        Row("memory of that process, peak", f"{peak:,.0f} MiB", "≤ 400 MiB", "–", peak <= 400),
    ]
