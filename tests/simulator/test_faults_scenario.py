"""Scenarios as data: what is refused and how, what ships, and that a seed fixes when things happen."""

import math
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import UserError
from simulator.faults.catalog import FAULTS
from simulator.faults.id_spans import IdSpans
from simulator.faults.library import listed, names, read, shipped
from simulator.faults.scenario import Scenario, read_scenario
from simulator.faults.step import Step

ROWS = {
    1: "drop",
    2: "half_open",
    3: "silence",
    4: "garbage",
    5: "huge_frame",
    6: "duplicate",
    7: "reorder",
    8: "skip",
    9: "false_gap",
    10: "conflict",
    11: "clock_skew",
    12: "status",
    13: "refuse_connect",
    14: "cut_24h",
    29: "delist",
    46: "html",
}


def steps(*several: dict) -> dict:
    return {"steps": list(several)}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "a scenario is a table"),
        ({}, "missing required field `steps`"),
        (steps(), "at least one step"),
        ({"step": []}, "unknown key of a scenario 'step': did you mean 'steps'?"),
        ({"steps": [{"fault": "drop"}], "begins": "later"}, "Invalid enum value 'later'"),
        ({"steps": [{"fault": "drop"}], "seed": "x"}, "Expected `int`, got `str` - at `$.seed`"),
        ({"steps": [7]}, "Expected `object`, got `int`"),
        (steps({"at": 1}), "step 1 names no fault: write fault = one of drop, half_open"),
        (
            steps({"fault": "drop"}, {"fault": "silense"}),
            "unknown fault in step 2 'silense': did you mean 'silence'?",
        ),
        (
            steps({"fault": "skip", "counts": 3}),
            "unknown parameter of skip in step 1 'counts': did you mean 'count'?",
        ),
        (steps({"fault": "drop", "for": 3}), "unknown parameter of drop in step 1 'for'"),
        (steps({"fault": "skip", "sockets": 1}), "unknown parameter of skip in step 1 'sockets'"),
        (steps({"fault": "skip", "count": "3"}), "step 1, skip, is wrong: Expected `int`, got `str` - at `$.count`"),
        (steps({"fault": "skip", "count": 0}), "Expected `int` >= 1 - at `$.count`"),
        (steps({"fault": "skip", "at": -1}), "Expected `float` >= 0.0 - at `$.at`"),
        (steps({"fault": "drop", "how": "hard"}), "Invalid enum value 'hard' - at `$.how`"),
        (steps({"fault": "silence", "instruments": "BTC-USDT"}), "Expected `array`, got `str` - at `$.instruments`"),
        (steps({"fault": "skip", "every": 1, "chance": 0.5}), "both every and chance"),
        (steps({"fault": "silence", "every": 5}), "begins again and again, but never ends"),
    ],
)
def test_what_is_no_scenario_is_refused_in_one_line(data: object, words: str) -> None:
    with pytest.raises(UserError) as refused:
        Scenario.of(data)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_are_read_as_they_are_named_and_refused_in_one_line(tmp_path: Path) -> None:
    toml, json = tmp_path / "mine.toml", tmp_path / "mine.json"
    toml.write_text('seed = 9\n[[steps]]\nfault = "reorder"\nwithin = 7\nfor = 2\n')
    json.write_text('{"seed": 9, "steps": [{"fault": "reorder", "within": 7, "for": 2}]}')
    assert read(str(toml)) == read(str(json))
    assert (read(str(toml)).name, read(str(toml)).happenings[0].lasts) == ("mine", 2)
    for text in ("[[steps]", "\x00", '{"a": 1}'):
        toml.write_text(text)
        with pytest.raises(UserError, match=r"mine\.toml cannot be read: [^\n]+$"):
            read_scenario(toml)
    json.write_text("[" * 100_000)
    for path in (json, tmp_path / "none.toml", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            read_scenario(path)
    toml.write_text("#" * 2_000_000)
    with pytest.raises(UserError, match="larger than a megabyte"):
        read_scenario(toml)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown scenario 'bad_dya': did you mean 'bad_day'"):
        read("bad_dya")
    with pytest.raises(UserError, match="unknown scenario"):
        shipped("../library/bad_day")


def test_the_library_shows_every_fault_and_says_what_it_does() -> None:
    shown = {name: {one.step.fault for one in shipped(name).happenings} for name in names()}
    assert set().union(*shown.values()) == set(FAULTS)
    assert set(ROWS.values()) <= set(FAULTS)
    lines = listed().splitlines()
    assert [line.split()[0] for line in lines] == names()
    for name, line in zip(names(), lines, strict=True):
        assert shipped(name).name == name
        assert len(shipped(name).description) > 20
        assert line.endswith(shipped(name).description)


def test_the_bad_day_is_a_mix() -> None:
    day = shipped("bad_day")
    assert len({one.step.fault for one in day.happenings}) >= 10
    assert "bad_day" in names()


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 100),
    st.one_of(st.tuples(st.just("every"), st.floats(0.1, 50)), st.tuples(st.just("chance"), st.floats(0.05, 1))),
    st.floats(0, 30),
    st.integers(0, 1000),
    st.integers(1, 20),
)
def test_a_seed_fixes_the_moments_and_none_comes_while_the_last_lasts(at, kind, lasts, seed, times) -> None:
    assume(kind[0] == "every" or kind[1] > 0.01)
    step = msgspec.convert({"fault": "skip", "at": at, kind[0]: kind[1], "times": times}, Step)
    moments = list(step.moments(Random(seed), lasts))
    assert moments == list(step.moments(Random(seed), lasts))
    assert len(moments) == times
    assert moments[0] >= at
    assert all(after >= before + lasts for before, after in pairwise(moments))
    if kind[0] == "every":
        assert moments[0] == at
        # The next beat that does not fall into the fault itself.
        assert all(after - before < lasts + 2 * kind[1] for before, after in pairwise(moments))


def test_chances_are_what_they_say() -> None:
    step = Step(fault="skip", chance=0.2)
    moments = list(islice(step.moments(Random(3), 0.0), 2000))
    assert 0.18 < len(moments) / moments[-1] < 0.22
    assert all(moment == math.floor(moment) for moment in moments)
    assert moments != list(islice(step.moments(Random(4), 0.0), 2000))


def test_once_is_once() -> None:
    assert list(Step(fault="skip", at=3).moments(Random(1), math.inf)) == [3]


@pytest.mark.parametrize(
    ("patterns", "speaks", "name", "hit"),
    [
        ((), "okx", "simulated:BTC-USDT", True),
        (("BTC-USDT",), "okx", "simulated:BTC-USDT", True),
        (("BTC-USDT",), "okx", "simulated:BTC-USDT-PERP", False),
        (("BTC-*",), "okx", "simulated:BTC-USDT-PERP", True),
        (("okx:BTC-USDT",), "okx", "okx:BTC-USDT", True),
        (("okx:BTC-USDT",), "bybit", "simulated:BTC-USDT", False),
        (("binance:*-PERP",), "binance-usdm", "simulated:BTC-USDT-PERP", True),
    ],
)
def test_instruments_are_named_with_or_without_their_venue(patterns, speaks, name, hit) -> None:
    assert Step(fault="skip", instruments=patterns).hits_instrument(speaks, name) is hit


@settings(max_examples=100)
@given(st.lists(st.lists(st.integers(0, 60), max_size=8), max_size=8))
def test_spans_hold_the_ids_that_were_added_in_any_order(parts: list[list[int]]) -> None:
    held = IdSpans()
    for part in parts:
        held.add(np.array(part, np.int64))
    whole = {number for part in parts for number in part}
    assert [number for first, last in held.spans for number in range(first, last + 1)] == sorted(whole)
    # Spans that chain are one.
    assert all(after[0] > before[1] + 1 for before, after in pairwise(held.spans))
    assert held.among(np.arange(-1, 62)).tolist() == [number in whole for number in range(-1, 62)]
