import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.timeframes import MINUTE
from simulator.disturbance import NOTHING, Disturbance, Truth, disturb
from simulator.frames import frames, invent
from simulator.market import InventedMarket
from simulator.wire import Frame

Key = tuple[str, int]
NAMES = {f"{base}USDT": f"simulated:{base}-USDT" for base in ("BTC", "ETH", "SOL")}
SPAN = 4 * MINUTE
ALL = Disturbance(9, hole=0.01, duplicate=0.02, reorder=0.05, late=0.02, garbage=0.01)

chances = st.floats(0, 0.2)
disturbances = st.builds(
    Disturbance,
    seed=st.integers(0, 2**32),
    hole=chances,
    hole_length=st.floats(1, 20),
    duplicate=chances,
    reorder=chances,
    late=chances,
    garbage=chances,
    window=st.one_of(st.integers(1, 3_000_000), st.integers(1, 300).map(lambda ms: ms * 1000)),
)


@pytest.fixture(scope="module")
def clean() -> list[Frame]:
    return list(frames(InventedMarket(11), SPAN))


def read(payload: bytes) -> tuple[Key, int] | None:
    """The trade that a frame tells, or None: by the standard library alone."""
    try:
        data = json.loads(payload)["data"]
        if not isinstance(data["t"], int) or not math.isfinite(float(data["p"])) or float(data["q"]) <= 0:
            return None
        return (NAMES[data["s"]], data["t"]), data["T"] * 1000
    except (ValueError, KeyError, TypeError):
        return None


def counted(payloads: list[bytes], whole: set[Key], window: int) -> Truth:
    """What an independent look at the arrivals finds."""
    truth = Truth()
    seen: Counter[Key] = Counter()
    ahead: dict[str, tuple[int, int]] = {}
    for payload in payloads:
        told = read(payload)
        if told is None:
            truth.garbage.append(payload)
            continue
        key, ts = told
        name, trade_id = key
        newest, largest = ahead.get(name, (0, -1))
        if not seen[key]:
            if newest > ts + window:
                truth.late.add(key)
            elif largest > trade_id:
                truth.reordered.add(key)
        seen[key] += 1
        ahead[name] = (max(newest, ts), max(largest, trade_id))
    truth.dropped = whole - set(seen)
    truth.duplicated = {key for key, times in seen.items() if times == 2}
    assert max(seen.values(), default=0) <= 2
    assert set(seen) <= whole
    return truth


@settings(max_examples=25, deadline=None)
@given(disturbances)
def test_the_truth_is_what_an_independent_count_finds(clean: list[Frame], by: Disturbance) -> None:
    truth = Truth()
    arrived = list(disturb(clean, by, truth))
    whole = {(frame.instrument, frame.trade_id) for frame in clean}
    assert counted([frame.payload for frame in arrived], whole, by.window) == truth
    received = [frame.received for frame in arrived]
    assert received == sorted(received)
    assert all(frame.received >= frame.ts for frame in arrived)


def test_every_kind_happens_and_a_seed_fixes_it(clean: list[Frame]) -> None:
    once, again, other = Truth(), Truth(), Truth()
    first = list(disturb(clean, ALL, once))
    assert list(disturb(clean, ALL, again)) == first
    assert again == once
    kinds = (once.dropped, once.duplicated, once.reordered, once.late)
    for kind in (*kinds, once.garbage):
        assert len(kind) > 10
    for i, kind in enumerate(kinds):
        assert all(not kind & rest for rest in kinds[i + 1 :])
    list(disturb(clean, Disturbance(10, 0.01, 3.0, 0.02, 0.05, 0.02, 0.01), other))
    assert other != once


def test_nothing_disturbed_is_nothing_changed(clean: list[Frame]) -> None:
    truth = Truth()
    assert list(disturb(clean, NOTHING, truth)) == clean
    assert not truth


def test_no_payload_of_a_trade_is_changed(clean: list[Frame]) -> None:
    sent = {frame.payload for frame in clean}
    truth = Truth()
    for frame in disturb(clean, ALL, truth):
        assert (frame.payload in sent) == (frame.trade_id >= 0)
    assert not sent & set(truth.garbage)
    assert not any(b"\n" in payload for payload in truth.garbage)


@pytest.mark.parametrize("length", [1.0, 4.0, 30.0])
def test_holes_have_the_length_asked_for(clean: list[Frame], length: float) -> None:
    truth = Truth()
    list(disturb(clean, Disturbance(1, hole=0.2 / length, hole_length=length), truth))
    # A hole may follow a hole at once, which makes runs longer than holes by a fifth or so.
    starts = sum((name, trade_id - 1) not in truth.dropped for name, trade_id in truth.dropped)
    assert 0.6 * length < len(truth.dropped) / starts < 1.6 * length
    assert (len(truth.dropped) == starts) <= (length == 1)


def test_a_recording_brings_its_truth(tmp_path: Path) -> None:
    made = invent(tmp_path / "bad.ws", seed=11, duration=SPAN, disturbance=ALL)
    rows = made.path.read_bytes().split(b"\n")[:-1]
    times, payloads = zip(*(row.split(b" ", 1) for row in rows), strict=True)
    assert [int(time) for time in times] == sorted(int(time) for time in times)
    whole = {(frame.instrument, frame.trade_id) for frame in frames(InventedMarket(11), SPAN)}
    assert counted(list(payloads), whole, ALL.window) == made.truth
    assert len(rows) == made.lines
    assert sum(made.trades.values()) == len(whole)


@pytest.mark.parametrize(
    "broken",
    [
        {"hole": -0.1},
        {"late": 1.1},
        {"garbage": math.nan},
        {"hole": 0.5, "reorder": 0.6},
        {"window": 0},
        {"hole_length": 0.5},
        {"hole_length": math.inf},
    ],
)
def test_what_is_no_chance_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Disturbance(**broken)
