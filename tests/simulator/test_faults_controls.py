"""The controls of faults: what is played, what was done, and when; and a tape that lacks trades."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnknownName
from core.timeframes import HOUR, MINUTE
from simulator.clock import MarketClock
from simulator.dialects import every
from simulator.exchange import SimulatedExchange
from simulator.faults.catalog import FAULTS
from simulator.faults.engine import FaultEngine
from simulator.faults.library import names, shipped
from simulator.faults.redacted_tape import RedactedTape
from simulator.faults.scenario import Scenario

sys.path.insert(0, str(Path(__file__).parent))
from breaking import OKX, clear, listening, play, until
from served import every_kind_hour, served


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture
def market(tape):
    with served(tape, (tape.start // MINUTE + 20) * MINUTE) as running:
        yield running


def test_a_scenario_waits_for_a_client_that_has_subscribed(market):
    market.client.post("/tidemill/faults", json={"scenario": "skipped_served"})
    state = market.get("/tidemill/state")["faults"]
    assert state == {"scenario": "skipped_served", "begun": False, "active": [], "counts": {}}
    with listening(market, OKX):
        until(lambda: market.get("/tidemill/state")["faults"]["begun"])
    told = market.get("/tidemill/faults")
    assert told["scenario"]["name"] == "skipped_served"
    assert told["steps_left"] == 1


def test_what_was_done_is_written_down_with_its_times(market):
    before = time.time_ns() // 1000
    play(market, {"fault": "silence", "for": 0.2}, {"fault": "drop", "at": 0.1}, name="mine", description="of mine")
    until(lambda: not market.get("/tidemill/faults")["active"])
    told = market.get("/tidemill/faults")
    assert told["scenario"] == {"name": "mine", "description": "of mine", "seed": 1}
    assert told["counts"] == {"silence": 1, "drop": 1}
    assert [one["fault"] for one in told["entries"]] == ["silence", "drop"]
    first, second = told["entries"]
    assert first["began"] == first["ended"] == market.exchange.now()
    assert before <= first["wall"] <= second["wall"] <= time.time_ns() // 1000
    assert first["parameters"] == {"for": 0.2}
    clear(market)
    told = market.get("/tidemill/faults")
    assert told["scenario"] is None
    assert len(told["entries"]) == 2


def one(step):
    return {"scenario": {"steps": [step]}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "write {"),
        ({"clear": False}, "write {"),
        ({"scenario": 7}, "a scenario is a table"),
        ({"scenario": "bad_dya"}, "did you mean 'bad_day'"),
        ({"scenario": {"steps": [{"fault": "dropp"}]}}, "did you mean 'drop'"),
        ({"scenario": "bad_day", "clear": True}, "write {"),
        (one({"fault": "silence", "instruments": ["BTCUSDT"]}), "step 1 'BTCUSDT': did you mean 'BTC-USDT'"),
        (one({"fault": "silence", "instruments": ["BTC-*", "XYZ-*"]}), "unknown instrument in step 1 'XYZ-*'"),
        (one({"fault": "skip", "instruments": ["okx:BTC-USD"]}), "did you mean 'okx:BTC-USDT'"),
        (
            one({"fault": "skip", "instruments": ["okx:BTC-USDT"], "dialects": ["bybit"]}),
            "unknown instrument in step 1",
        ),
        (one({"fault": "html", "paths": ["/api/v3/trade"]}), "did you mean '/api/v3/trades'"),
    ],
)
def test_wrong_requests_are_refused_and_change_nothing(market, body, words):
    play(market, {"fault": "silence"})
    answer = market.client.post("/tidemill/faults", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert market.get("/tidemill/faults")["active"] == ["silence"]
    assert market.client.get("/tidemill/faults", headers={"Origin": "http://x"}).status_code == 403


def test_patterns_that_reach_something_are_played(market):
    names, paths = ["BTC-USDT", "okx:BTC-*", "*"], ["*/klines", "/v1/candles/minutes/5"]
    play(market, {"fault": "bad_topic", "instruments": names}, {"fault": "html", "paths": paths})
    assert market.get("/tidemill/faults")["active"] == ["bad_topic", "html"]


def test_a_scenario_that_reaches_no_instrument_is_not_begun(tape):
    scenario = Scenario.of({"steps": [{"fault": "skip", "instruments": ["BTCUSDT"]}]})
    with pytest.raises(UnknownName, match="unknown instrument in step 1 'BTCUSDT': did you mean 'BTC-USDT'"):
        engine(tape, scenario, [0.0])


def engine(tape, scenario, hand):
    exchange = SimulatedExchange(tape, MarketClock(1.0, tape.start + HOUR // 2, monotonic=lambda: hand[0]))
    return FaultEngine(exchange, every(exchange), scenario, monotonic=lambda: hand[0])


@pytest.mark.parametrize("name", names())
def test_every_scenario_of_the_library_begins_and_ends_without_a_client(tape, name):
    hand, scenario = [0.0], shipped(name)
    engine_ = engine(tape, scenario, hand)
    engine_.exchange.figures.listeners["test"] = 1
    listed = dict(engine_.exchange.listed)
    engine_.look()
    assert engine_.state()["begun"]
    while hand[0] < 300:
        hand[0] += 0.25
        engine_.look()
    told = engine_.told_all()
    assert told["steps_left"] == 0
    assert set(told["counts"]) == {one.step.fault for one in scenario.happenings}
    engine_.clear()
    assert not engine_.active
    assert (engine_.exchange.skew, engine_.exchange.listed) == (0, listed)


def test_the_same_seed_gives_the_same_faults(tape):
    def begun(seed):
        steps = [{"fault": name, "chance": 0.1, "for": 2} for name in ("silence", "html", "delist")]
        hand = [0.0]
        engine_ = engine(tape, Scenario.of({"begins": "started", "seed": seed, "steps": steps}), hand)
        for _ in range(400):
            engine_.look()
            hand[0] += 0.25
        entries = engine_.told_all()["entries"]
        return [(one["fault"], one["began"], one["ended"], list(one["instruments"])) for one in entries]

    assert begun(1) == begun(1)
    assert len(begun(1)) > 10
    assert begun(1) != begun(2)


def test_every_fault_says_what_it_does():
    for name, fault in FAULTS.items():
        assert fault.__doc__, name


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_redacted_tape_lacks_what_was_hidden_and_nothing_else(tape, data):
    first = int(tape.from_time("BTCUSDT", tape.start, tape.start + HOUR, 1).ids[0])
    hidden = data.draw(st.sets(st.integers(first, first + 60), max_size=50))
    redacted = RedactedTape(tape)
    for number in hidden:
        redacted.hide("BTCUSDT", np.array([number], np.int64))
    end = tape.start + HOUR
    limit, at = data.draw(st.integers(1, 40)), data.draw(st.integers(first - 5, first + 70))
    left = [number for number in range(first, first + 400) if number not in hidden]
    assert redacted.from_id("BTCUSDT", at, limit, end).ids.tolist() == [n for n in left if n >= at][:limit]
    assert redacted.from_time("BTCUSDT", tape.start, end, limit).ids.tolist() == left[:limit]
    before = int(tape.from_id("BTCUSDT", first + 80, 1, end).ts[0])
    newest = [n for n in tape.last("BTCUSDT", before, 500).ids.tolist() if n not in hidden]
    assert redacted.last("BTCUSDT", before, limit).ids.tolist() == newest[-limit:]
    assert redacted.last("ETHUSDT", before, 5).ids.tolist() == tape.last("ETHUSDT", before, 5).ids.tolist()
