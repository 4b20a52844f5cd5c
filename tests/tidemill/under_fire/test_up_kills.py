"""Nothing lost, nothing twice: whatever is killed while the exchange sends, all that it sent is in the lake."""

import math
import os
import random
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from arena import InventedArena
from truth import check, settled, wait_for_reviser

VICTIMS = ("recorder", "market", "reviser", "postgres", "up", "all")


def under_fire(arena: InventedArena, kills: int, seed: int) -> dict[str, int]:
    """Kill at random while the exchange sends; give how often each victim was hit."""
    random_ = random.Random(seed)
    hits = dict.fromkeys(VICTIMS, 0)
    arena.start()
    deadline = time.monotonic() + 60 + 30 * kills
    while sum(hits.values()) < kills:
        assert time.monotonic() < deadline, f"too few processes to kill: {hits}; see {arena.folder}"
        time.sleep(math.exp(random_.uniform(math.log(0.05), math.log(6))))
        arena.note_processes()
        victim = random_.choice([one for one in VICTIMS if hits[one] == min(hits.values())])
        if arena.kill(victim):
            hits[victim] += 1
        arena.restart()
    return hits


@pytest.fixture
def arena(tmp_path):
    made = InventedArena(tmp_path, rate=3, speed=5, seed=11)
    try:
        yield made
    finally:
        made.close()


def run(arena: InventedArena, kills: int, seed: int) -> None:
    hits = under_fire(arena, kills, seed)
    # The newest whole minutes have to be closed by what is sent in peace.
    time.sleep(13)
    took = settled(arena, 30)
    arena.note_processes()
    wait_for_reviser(arena)
    assert arena.stop() == 0, (arena.folder / "up.log").read_text()[-3000:]
    assert arena.left_over() == []
    check(arena)
    print(f"{sum(hits.values())} kills {hits}; whole {took:.1f} s after the last trade; seed {seed}")


def test_what_was_sent_is_stored_whatever_is_killed(arena):
    run(arena, kills=6, seed=int(os.environ.get("KILLS_SEED", "5")))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(10))
def test_soak_two_hundred_kills(arena, seed):
    run(arena, kills=20, seed=seed)
