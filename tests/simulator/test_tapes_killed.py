"""An invented market whose player is killed, or whose disk is full."""

import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.timeframes import HOUR, SECOND
from simulator.listing import LISTINGS
from simulator.market import START, InventedMarket
from simulator.tapes.invented import InventedTape

# Plays the market from where it is told, ten minutes at a time, and says each trade once it has it.
PLAYER = """
import sys
from pathlib import Path
from core.timeframes import HOUR, MINUTE
from simulator.listing import LISTINGS
from simulator.market import START
from simulator.tapes.invented import InventedTape

at = int(sys.argv[2])
tape = InventedTape.open(7, LISTINGS[:2], Path(sys.argv[1]), now=max(at, START + HOUR), history_hours=1)
while True:
    for batch in tape.between(at, at + MINUTE):
        for row in zip(batch.ids.tolist(), batch.ts.tolist(), batch.price.tolist(), batch.size.tolist()):
            print(batch.instrument, *row)
    at += MINUTE
    print("played", at, flush=True)
"""

# The same where no file may grow beyond what is told.
CRAMPED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""


def play(folder: Path, at: int, rows: list[str], seconds: float) -> int:
    """Play until it is killed; give how far it came."""
    # What the killed player said last may be cut off: it counts when its minute was played.
    with subprocess.Popen(
        [sys.executable, "-c", PLAYER, str(folder), str(at)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        until: float | None = None
        pending: list[str] = []
        for line in child.stdout:
            if not line.endswith("\n"):
                break
            pending.append(line)
            if line.startswith("played"):
                at = int(line.split()[1])
                rows += pending[:-1]
                pending = []
                until = until or time.monotonic() + seconds
                if time.monotonic() > until:
                    child.kill()
                    break
    return at


def test_a_killed_player_goes_on_with_the_very_same_market(tmp_path: Path, gather: Any) -> None:
    rows: list[str] = []
    at = START
    luck = random.Random(3)
    for _ in range(5):
        at = play(tmp_path, at, rows, luck.random() * 0.3)
    truth = gather(InventedMarket(7, LISTINGS[:2], START), at - START)
    said = [tuple(row.split()) for row in rows]
    for name, batch in truth.items():
        columns = (batch.ids, batch.ts, batch.price, batch.size)
        expected = [(name, *map(str, row)) for row in zip(*(c.tolist() for c in columns), strict=True)]
        assert [row for row in said if row[0] == name] == expected
    assert len(said) == sum(map(len, truth.values())) > 1_000


def test_a_full_disk_is_told_and_costs_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CRAMPED.format(limit=16_000) + PLAYER, str(tmp_path), str(START)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        error = child.communicate()[1].splitlines()[-1]
    assert "TransientError: no room to write" in error
    assert (tmp_path / "blocks").stat().st_size <= 16_000
    tape = InventedTape.open(7, LISTINGS[:2], tmp_path, now=START + HOUR, history_hours=1)
    alone = InventedTape.open(7, LISTINGS[:2], now=START + HOUR, history_hours=1)
    for one, other in zip(*(t.between(START, START + HOUR - SECOND) for t in (tape, alone)), strict=True):
        assert np.array_equal(one.price, other.price)
    tape.close()
