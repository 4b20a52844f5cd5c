"""Whatever a venue does: what it sent is stored and its candles are right, or a gap names what is missing."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import pytest

from core.gaps import Gap
from storage.journal import Journal

sys.path.insert(0, str(Path(__file__).parent))
import venues_figures
from venues_arena import BY_NAME, SPOKEN, VenuesArena
from venues_faults import SECONDS, Step, drawn, play, scenario
from venues_truth import Truth, check, check_venue_candles

RATE, SPEED, SEED = 0.2, 5, 1
MINUTE_S = 60 / SPEED
PATIENCE = 90.0
STALE_S = 3
"""That of the settings: a silence has to be noticed within this and five seconds."""
GONE = ("delisted", "a topic refused", "of another time")
"""What takes instruments, or all venues' time, away for longer; then nobody can be quick."""
SILENT = ("silent", "silent from the start", "half open")

WAVES: Sequence[Mapping[str, str]] = (
    {
        "binance": "skipped",
        "okx": "skipped while REST fails",
        "bybit": "REST says 429",
        "deribit": "garbage instead",
        "bitget": "REST says 503",
        "upbit": "REST shows a portal",
    },
    {
        "binance": "cut again and again",
        "okx": "one silent",
        "bybit": "cut inside a frame",
        "deribit": "in disorder",
        "bitget": "contradicted",
        "upbit": "silent from the start",
    },
    {
        "binance": "skipped for ever",
        "okx": "huge frame",
        "bybit": "ended, announced",
        "deribit": "not let in",
        "bitget": "half open",
        "upbit": "twice",
    },
)


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[VenuesArena]:
    made = VenuesArena(tmp_path, RATE, SPEED, SEED)
    try:
        made.start()
        made.ready()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def truth() -> Truth:
    return Truth(RATE, SEED)


def bear(arena: VenuesArena, steps: Sequence[Step], seed: int, kills: Sequence[float] = ()) -> int:
    """Play a scenario to its end, and kill the recorder meanwhile; give when it began, by the machine's clock."""
    began, since = time.monotonic(), time.time_ns() // 1000
    arena.exchange.ask("faults", "POST", scenario=scenario(steps, seed))
    for moment in kills:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        arena.kill("recorder")
    time.sleep(max(0.0, began + SECONDS - time.monotonic()))
    arena.exchange.ask("faults", "POST", clear=True)
    return since


def compare(arena: VenuesArena, truth: Truth) -> None:
    """Let the market stand still, and all of what is stored be compared with it; then it goes on."""
    until = arena.halt()
    hidden = arena.exchange.ask("faults")["never_served"]
    took = arena.settled({name: truth.last(name, until) for name in BY_NAME}, PATIENCE, may_stay(hidden))
    with arena.opened() as (session, ledger):
        found = {name: check(session, ledger, truth, name, until) for name in BY_NAME}
        for gap in ledger.gaps():
            assert gap.state == "repaired" or BY_NAME[gap.instrument].reach or may_stay(hidden)(gap), gap
    totals = {what: sum(one[what] for one in found.values()) for what in ("trades", "missing", "left")}
    print(f"equal {took:.1f} s after the last trade: {totals}")
    arena.exchange.ask("resume", "POST")


def may_stay(hidden: Mapping[str, Sequence[Sequence[int]]]) -> Callable[[Gap], bool]:
    """Say which gaps the venue will never fill."""

    def stays(gap: Gap) -> bool:
        spans = hidden.get(gap.instrument.partition(":")[2], ())
        return any(first <= gap.last_id and gap.first_id <= last for first, last in spans)

    return stays


def end(arena: VenuesArena, truth: Truth) -> None:
    """See that quotes and the venues' candles are right; stop `up`, and see that it leaves nothing behind."""
    with arena.catalog() as catalog:
        quotes = dict(
            catalog.execute("SELECT instrument, bool_and(bid < ask) FROM lake.quotes GROUP BY ALL").fetchall()
        )
        assert quotes == dict.fromkeys(BY_NAME, True)
        for name in BY_NAME:
            check_venue_candles(catalog, truth, name)
    arena.note_processes()
    assert arena.stop() == 0, (arena.folder / "up.log").read_text()[-3000:]
    assert arena.left_over() == []


def test_whatever_a_venue_does_is_data_or_a_named_gap(arena: VenuesArena, truth: Truth) -> None:
    began = time.time_ns() // 1000
    for number, wave in enumerate(WAVES):
        steps = [step for dialect, name in wave.items() for step in play(dialect, name, Random(number))]
        bear(arena, steps, number, kills=(4.0,) if number == 2 else ())
    # The newest whole minutes have to be closed by what is sent in peace.
    time.sleep(MINUTE_S + 2)
    compare(arena, truth)
    with arena.catalog() as catalog:
        print("detected:", venues_figures.shown(venues_figures.detected(catalog, began)))
        print("repaired:", venues_figures.shown(venues_figures.repaired(catalog, began)))
    end(arena, truth)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(0, 200, 10))
def test_soak_two_hundred_seeds(arena: VenuesArena, truth: Truth, first: int) -> None:
    for seed in [int(os.environ["VENUES_SEED"])] if "VENUES_SEED" in os.environ else range(first, first + 10):
        names, steps = drawn(seed)
        kills = (Random(seed).uniform(0, SECONDS),) if seed % 5 == 0 else ()
        print(f"seed {seed}: {names}{' and the recorder is killed' if kills else ''}")
        since = bear(arena, steps, seed, kills)
        time.sleep(MINUTE_S + 2)
        compare(arena, truth)
        measure(arena, names, since, killed=bool(kills))
    end(arena, truth)


def measure(arena: VenuesArena, names: Mapping[str, str], since: int, *, killed: bool) -> None:
    """Print the figures of one seed; hold them to their bounds where nothing else was in the way."""
    up = {one for one, name in names.items() if "REST" not in name and name not in GONE and not killed}
    with arena.catalog() as catalog:
        detected, repaired = venues_figures.detected(catalog, since), venues_figures.repaired(catalog, since)
    print("  detected:", venues_figures.shown(detected), " repaired:", venues_figures.shown(repaired))
    for exchange, seconds in repaired.items():
        assert exchange not in up or max(seconds) <= 30, (exchange, seconds)
    for exchange in up:
        if names[exchange] in SILENT:
            noticed = _noticed(arena, exchange, since)
            print(f"  {exchange} {names[exchange]}: noticed after {noticed:.1f} s")
            assert noticed <= STALE_S + 5


def _noticed(arena: VenuesArena, exchange: str, since: int) -> float:
    entries = arena.exchange.ask("faults")["entries"]
    begins = [
        entry["wall"]
        for entry in entries
        if entry["wall"] >= since
        and entry["fault"] in ("silence", "half_open")
        and f"{exchange}*" in entry["parameters"]["dialects"]
    ]
    with Journal(arena.data.journal) as journal:
        marks = [
            at
            for one in SPOKEN
            if one.exchange == exchange
            for at in venues_figures.silences(journal, one.venue, begins[0])
        ]
    return (min(marks) - begins[0]) / 1e6 if marks else float("inf")
