"""Bursts, a dataflow that stands still, a ledger that is away: nothing is lost, memory is bounded, lag is shown."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from storage.journal import Journal

sys.path.insert(0, str(Path(__file__).parent))
import exchange as exchange_process
from arena import InventedArena
from truth import check, settled, wait_for_reviser

from core.timeframes import MINUTE, SECOND

RATE, SPEED, SEED = 10, 6, 7
FEED = "simulated"
GROWTH = 256 * 2**20
"""What a process may take for a burst, beyond what it had before: of a million frames, 165 MB as they come, far
more as objects of Python, nobody may hold all."""
CEILING = 768 * 2**20
ASKING = 3
"""Seconds of an outage that are left for `tidemill status`."""


@pytest.fixture
def arena(tmp_path):
    made = InventedArena(tmp_path, RATE, SPEED, SEED, history=1)
    try:
        made.start()
        until(lambda: live(made) and committed(made) > 0, "the system does not come up")
        yield made
    finally:
        made.close()


def live(arena: InventedArena) -> bool:
    """Tell whether everything runs, and the past, which was fetched first, has joined the present."""
    recorder, market = arena.health("recorder"), arena.health("market")
    return (
        recorder["figures"].get(f"{FEED} holes") == 0
        and market["figures"].get(f"lag_records {FEED}", 10**9) < 2_000
        and market["state"] == arena.health("reviser")["state"] == "healthy"
        and sent(arena) > 0
    )


def sent(arena: InventedArena) -> int:
    return sum(arena.exchange.ask("state")["sent"].values())


def until(true: Callable[[], object], why: str, patience: float = 90) -> None:
    deadline = time.monotonic() + patience
    while not true():
        assert time.monotonic() < deadline, why
        time.sleep(0.1)


def status(arena: InventedArena) -> dict[str, Any]:
    """Ask as an operator does; `tidemill status` ends, whatever is down."""
    argv = [sys.executable, "-P", "-m", "tidemill", "--config", arena.config, "status", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    found["components"] = {one["name"]: one for one in found["components"]}
    return found


def recorded(arena: InventedArena) -> int:
    with Journal(arena.data.journal) as journal:
        return journal.last_offset(FEED)


@contextmanager
def halted(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def drained(arena: InventedArena) -> float:
    """Wait until the dataflow is where the recorder is; give the seconds that took."""
    began = time.monotonic()
    end = recorded(arena)
    until(lambda: committed(arena) >= end, f"record {end} does not reach the lake; see {arena.folder}")
    return time.monotonic() - began


def committed(arena: InventedArena) -> int:
    with arena.opened() as (session, _):
        (reached,) = session.execute('SELECT min("offset") FROM lake.offsets').fetchone()
        return -1 if reached is None else reached


def late(arena: InventedArena) -> dict[str, Any]:
    """Give what the dataflow tells of its lag, or of rows that wait for the lake; nothing while it keeps up."""
    figures = arena.health("market")["figures"]
    records, seconds = figures.get(f"lag_records {FEED}", 0), figures.get("lake_waits_seconds", 0)
    return {"records": records, "lake s": seconds} if records > 1_000 or seconds > 3 else {}


def burst(arena: InventedArena, frames: int, seconds: float) -> dict[str, Any]:
    """Let ``frames`` a second come, as many as are due in ``seconds``; give what was seen meanwhile."""
    now, before, memory = arena.exchange.ask("state")["now"], sent(arena), arena.peaks()
    tape = exchange_process.tape(RATE, SEED)
    usual = sum(map(len, tape.between(now, now + 5 * MINUTE))) * SECOND / (5 * MINUTE)
    began, most, queued = time.monotonic(), 0, 0
    arena.exchange.ask("speed", "POST", speed=frames / usual)
    while (came := sent(arena) - before) < frames * seconds:
        assert time.monotonic() - began < 20 * seconds, f"the exchange sent {came} frames only"
        figures = {**arena.health("market")["figures"], **arena.health("recorder")["figures"]}
        most = max(most, figures.get(f"lag_records {FEED}", 0))
        queued = max(queued, figures.get(f"{FEED} queue_bytes", 0))
        time.sleep(0.02)
    took = time.monotonic() - began
    arena.exchange.ask("speed", "POST", speed=SPEED)
    rest = drained(arena)
    peaks = arena.peaks()
    for name, peak in peaks.items():
        assert peak < CEILING, (name, peak)
        assert name not in memory or peak - memory[name] < GROWTH, (name, memory[name], peak)
    assert most > 0
    assert queued < arena.settings.recorder.queue_bytes + 16 * 2**20
    return {
        "frames/s": round(came / took),
        "frames": came,
        "most lag": most,
        "most queued MB": round(queued / 2**20, 1),
        "drained s": round(rest, 1),
        "peak MB": {name: round(peak / 2**20) for name, peak in peaks.items()},
        "before MB": {name: round(peak / 2**20) for name, peak in memory.items()},
    }


def stopped(arena: InventedArena, seconds: float) -> dict[str, Any]:
    """Let the dataflow stand still; what waits for it is shown, and told by itself once it goes on."""
    pid, began = arena.pid("market"), time.monotonic()
    with halted([pid]):
        start = recorded(arena)
        time.sleep(seconds - ASKING)
        shown = status(arena)
        behind = recorded(arena) - start
    assert shown["components"]["market"]["state"] == "down"
    assert "gives no health" in shown["components"]["market"]["why"][0]
    assert {shown["components"][name]["state"] for name in ("ledger", "reviser")} == {"healthy"}
    (feed,) = shown["feeds"]
    assert feed["lag"] >= shown["feeds"][0]["journal_offset"] - start > 0
    away, rest = time.monotonic() - began, drained(arena)
    assert arena.pid("market") == pid
    return {"away s": round(away, 1), "behind": behind, "shown": feed["lag"], "drained s": round(rest, 1)}


def frozen(arena: InventedArena, seconds: float) -> dict[str, Any]:
    """Let the ledger's server stand still with all connections open: the hardest way to be away."""
    start, began = recorded(arena), time.monotonic()
    with halted(arena.family(arena.pid("postgres"))):
        time.sleep(seconds - ASKING)
        shown = status(arena)
        until(lambda: late(arena), "what waits for the ledger is not shown")
        told = late(arena)
        behind = recorded(arena) - start
    assert shown["stored"] is None
    assert "does not answer" in shown["why"]
    assert shown["components"]["ledger"]["state"] == "down"
    assert "no answer for" in shown["components"]["ledger"]["why"][0]
    assert shown["feeds"][0]["journal_offset"] > start
    assert behind > 0
    away, rest = time.monotonic() - began, drained(arena)
    return {
        "away s": round(away, 1),
        "behind": behind,
        "shown": told,
        "drained s": round(rest, 1),
    }


def killed(arena: InventedArena, seconds: float) -> dict[str, Any]:
    """Kill the ledger's server whenever it comes back."""
    start, began, kills = recorded(arena), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        kills += arena.kill("postgres")
        arena.note_processes()
        shown = status(arena)
        assert shown["components"]["recorder"]["running"]
        assert shown["feeds"][0]["journal_offset"] > start
        time.sleep(0.5)
    behind = recorded(arena) - start
    away, rest = time.monotonic() - began, drained(arena)
    assert kills > 1
    return {"away s": round(away, 1), "kills": kills, "behind": behind, "drained s": round(rest, 1)}


def finish(arena: InventedArena, since: int) -> None:
    """Compare all that is stored with the truth; ``since`` the market's time ``since`` all went its way in order."""
    settled(arena, 60)
    wait_for_reviser(arena)
    arena.note_processes()
    assert arena.stop() == 0, (arena.folder / "up.log").read_text()[-3000:]
    assert arena.left_over() == []
    check(arena)
    with arena.opened() as (session, ledger):
        assert [gap for gap in ledger.gaps() if gap.before_ts > since] == []
        late = "SELECT count(*) FROM lake.candles WHERE revision > 0 AND epoch_us(start) > ?"
        assert session.execute(late, [since]).fetchone() == (0,)


def test_short_outages_one_after_the_other(arena):
    since = arena.exchange.ask("state")["now"]
    print(burst(arena, 30_000, 3))
    print(stopped(arena, 8))
    print(frozen(arena, 8))
    finish(arena, since)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "outage",
    [
        pytest.param(lambda arena: burst(arena, 100_000, 10), id="burst of a million frames"),
        pytest.param(lambda arena: stopped(arena, 60), id="the dataflow stands still for a minute"),
        pytest.param(lambda arena: frozen(arena, 60), id="the ledger stands still for a minute"),
        pytest.param(lambda arena: killed(arena, 60), id="the ledger is killed for a minute"),
    ],
)
def test_soak_an_outage(arena, outage):
    since = arena.exchange.ask("state")["now"]
    print(outage(arena))
    finish(arena, since)
