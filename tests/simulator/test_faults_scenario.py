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
        ({}, "a scenario needs at least one step: write [[steps]] with a fault"),
        ({"steps": 1}, "the scenario: steps has to be a list of tables, not a whole number"),
        (steps(), "at least one step"),
        ({"step": []}, "unknown key of a scenario 'step': did you mean 'steps'?"),
        ({"steps": [{"fault": "drop"}], "begins": "later"}, "unknown begins of the scenario 'later'"),
        (
            {"steps": [{"fault": "drop"}], "begins": "suscribed"},
            "did you mean 'subscribed'? Known: started, subscribed",
        ),
        ({"steps": [{"fault": "drop"}], "seed": "x"}, "the scenario: seed has to be a whole number, not a text"),
        ({"steps": [7]}, "step 1 has to be a table, not a whole number"),
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
        (steps({"fault": "skip", "count": "3"}), "skip in step 1: count has to be a whole number, not a text"),
        (steps({"fault": "skip", "count": 0}), "skip in step 1: count has to be a whole number of at least 1"),
        (steps({"fault": "skip", "at": -1}), "skip in step 1: at has to be a number of at least 0"),
        (
            steps({"fault": "drop", "how": "hard"}),
            "unknown how of drop in step 1 'hard'. Known: close, mid_frame, reset",
        ),
        (steps({"fault": "drop", "how": "rset"}), "unknown how of drop in step 1 'rset': did you mean 'reset'?"),
        (steps({"fault": "drop", "how": 3}), "drop in step 1: how has to be a text in quotes, not a whole number"),
        (steps({"fault": "drop", "reason": "x" * 101}), "drop in step 1: reason has to have at most 100 letters"),
        (
            steps({"fault": "garbage", "kinds": ["byte"]}),
            "unknown kinds of garbage in step 1 'byte': did you mean 'b",
        ),
        (steps({"fault": "garbage", "kinds": []}), "garbage in step 1: kinds has to have at least 1 entries"),
        (
            steps({"fault": "html", "status": 500}),
            "unknown status of html in step 1 '500': did you mean '200'? Known: 200, 403",
        ),
        (steps({"fault": "skip", "chance": 2}), "skip in step 1: chance has to be a number of at most 1"),
        (steps({"fault": "silence", "for": 0}), "silence in step 1: for has to be a number above 0"),
        (steps({"fault": "silence", "for": "5s"}), "silence in step 1: for has to be a number, not a text"),
        (steps({"fault": "skip", "instruments": [1]}), "an entry of instruments has to be a text in quotes"),
        (
            steps({"fault": "drop"}, {"fault": "drop", "dialects": ["okex"]}),
            "dialect in step 2 'okex': did you mean 'okx'",
        ),
        (steps({"fault": "silence", "channels": ["trade", "trades"]}), "in step 1 'trades': did you mean 'trade'"),
        (steps({"fault": "silence", "channels": ["candle*"]}), "unknown channel in step 1 'candle*'"),
        (steps({"fault": "silence", "connections": ["/nope"]}), "unknown connection in step 1 '/nope'"),
        (steps({"fault": "silence", "connections": ["/ws/v5/busines"]}), "did you mean '/ws/v5/business'?"),
        (
            steps({"fault": "silence", "instruments": "BTC-USDT"}),
            "silence in step 1: instruments has to be a list, not a text",
        ),
        (steps({"fault": "skip", "every": 1, "chance": 0.5}), "both every and chance"),
        (steps({"fault": "silence", "every": 5}), "begins again and again, but never ends"),
    ],
)
def test_what_is_no_scenario_is_refused_in_one_line(data: object, words: str) -> None:
    with pytest.raises(UserError) as refused:
        Scenario.of(data)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "filters",
    [
        {"dialects": ["binance-usdm", "b*"], "channels": ["*"], "connections": ["/ws/btcusdt@trade", "/v5/public/*"]},
        {"connections": ["/ws", "/market/stream", "/websocket/v1", "*business"], "channels": ["mark_price", "k*"]},
    ],
)
def test_patterns_that_match_something_are_taken(filters: dict) -> None:
    (happening,) = Scenario.of(steps({"fault": "silence", **filters})).happenings
    assert {name: list(getattr(happening.step, name)) for name in filters} == filters


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
