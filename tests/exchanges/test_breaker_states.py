"""The breaker as a value: what opens it, for how long, and who may try."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges import breaker as circuit
from exchanges.breaker import BANS, FAILURES, LONGEST_BANS, LONGEST_TRIP, TRIAL, TRIP, Breaker
from exchanges.budgets import Budgets, Wish

SECOND = 1_000_000
HOUR = 3600 * SECOND


def failing(breaker: Breaker, now: int, times: int) -> Breaker:
    for _ in range(times):
        breaker = circuit.failed(breaker, now, "no route", trial=False)
    return breaker


def test_failures_in_a_row_open_it_and_an_answer_in_between_does_not() -> None:
    nearly = failing(Breaker(), 0, FAILURES - 1)
    assert circuit.held(nearly, 0) == 0
    assert circuit.succeeded(nearly, trial=False) == Breaker()
    opened = failing(nearly, 7, 1)
    assert circuit.held(opened, 7) == TRIP
    assert circuit.held(opened, 7 + TRIP) == 0
    assert failing(opened, 8, 3) == opened, "what was on its way tells nothing new"
    assert circuit.succeeded(opened, trial=False) == opened, "and closes nothing"


def test_trials_that_fail_make_it_longer_and_one_that_succeeds_closes_it() -> None:
    breaker, now, pauses = failing(Breaker(), 0, FAILURES), 0, []
    for _ in range(6):
        pauses.append(circuit.held(breaker, now))
        now += pauses[-1]
        breaker = circuit.tried(breaker, now)
        assert circuit.held(breaker, now) == TRIAL, "nobody else may"
        breaker = circuit.failed(breaker, now, "no route", trial=True)
    assert pauses == [TRIP, 2 * TRIP, 4 * TRIP, LONGEST_TRIP, LONGEST_TRIP, LONGEST_TRIP]
    assert circuit.succeeded(circuit.tried(breaker, now), trial=True) == Breaker()


@pytest.mark.parametrize("status", [429, 418, 403])
def test_a_ban_is_what_the_venue_says_or_grows_from_a_default(status) -> None:
    said = circuit.banned(Breaker(), 0, status, 7 * SECOND, "x", trial=False)
    assert circuit.held(said, 0) == 7 * SECOND
    breaker, now, pauses = circuit.banned(Breaker(), 0, status, None, "x", trial=False), 0, []
    for _ in range(14):
        pauses.append(circuit.held(breaker, now))
        now += pauses[-1]
        breaker = circuit.banned(circuit.tried(breaker, now), now, status, None, "x", trial=True)
    assert pauses == [min(BANS[status] << k, LONGEST_BANS[status]) for k in range(14)]
    assert pauses[-1] == LONGEST_BANS[status]


def test_the_documented_bans() -> None:
    assert BANS[403] >= 600 * SECOND
    assert BANS[418] == 120 * SECOND
    assert LONGEST_BANS[418] == 3 * 24 * HOUR


def test_a_ban_soon_after_another_grows_and_one_after_a_quiet_hour_does_not() -> None:
    first = circuit.banned(Breaker(), 0, 418, None, "x", trial=False)
    end = circuit.held(first, 0)
    closed = circuit.succeeded(circuit.tried(first, end), trial=True)
    assert circuit.held(closed, end) == 0
    soon = circuit.banned(closed, end + HOUR - 1, 418, None, "x", trial=False)
    assert circuit.held(soon, end + HOUR - 1) == 2 * end
    later = circuit.banned(closed, end + HOUR, 418, None, "x", trial=False)
    assert circuit.held(later, end + HOUR) == end


def test_several_requests_that_meet_one_ban_count_once() -> None:
    breaker = Breaker()
    for now in range(3):
        breaker = circuit.banned(breaker, now, 418, None, "x", trial=False)
    assert circuit.held(breaker, 2) == BANS[418]
    shorter = circuit.banned(breaker, 3, 429, SECOND, "x", trial=False)
    assert circuit.held(shorter, 3) == BANS[418] - 1, "a shorter one does not shorten it"


def test_a_ban_whose_trial_fails_is_still_one() -> None:
    banned = circuit.banned(Breaker(), 0, 418, SECOND, "x", trial=False)
    still = circuit.failed(circuit.tried(banned, SECOND), SECOND, "no route", trial=True)
    assert still.status == 418


_EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 40)),
        st.tuples(st.just("ask"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["succeed", "fail", "ban", "die"]), st.integers(0, 5)),
    ),
    max_size=60,
)


@settings(max_examples=100)
@given(_EVENTS)
def test_whatever_happens_one_trial_at_a_time_and_no_host_is_shut_for_ever(events) -> None:
    now = [10**15]
    budgets = Budgets(wall=lambda: now[0], passing=lambda: now[0])
    wish = Wish("rest", 1, 10**6, 60.0)
    underway: list[tuple[int, bool]] = []
    for kind, number in events:
        if kind == "pass":
            now[0] += number * SECOND
        elif kind == "ask":
            admission = budgets.admit("h", wish)
            if admission.wait == 0:
                fresh = [at for at, trial in underway if trial and now[0] < at + TRIAL]
                assert not (admission.trial and fresh)
                underway.append((now[0], admission.trial))
        elif underway:
            _, trial = underway.pop(number % len(underway))
            if kind == "succeed":
                budgets.succeeded("h", trial=trial)
            elif kind == "fail":
                budgets.failed("h", "no route", trial=trial)
            elif kind == "ban":
                seconds = budgets.banned("h", 429, float(1 + number), "it answered 429", trial=trial)
                assert budgets.admit("h", wish).held
                assert seconds >= 1 + number
    now[0] += 3600 * SECOND
    admission = budgets.admit("h", wish)
    assert admission.wait == 0
    budgets.succeeded("h", trial=admission.trial)
    assert budgets.breakers()[0].state == "closed"


def test_attempts_to_connect_are_held_by_bans_only() -> None:
    budgets, rest, connect = Budgets(), Wish("rest", 1, 100, 60.0), Wish("connect", 1, 100, 60.0)
    for _ in range(FAILURES):
        budgets.failed("h", "503", trial=False)
    assert budgets.admit("h", rest).held
    assert budgets.admit("h", connect).wait == 0
    assert budgets.admit("h", rest).held, "and a socket is no trial of the REST interface"
    budgets.banned("h", 418, 60.0, "it answered 418", trial=False)
    assert budgets.admit("h", connect).status == 418


def test_what_people_are_told() -> None:
    now = [1_700_000_000 * SECOND]
    budgets = Budgets(wall=lambda: now[0], passing=lambda: now[0])
    wish = Wish("rest", 1, 100, 60.0)
    budgets.admit("h", wish)
    (closed,) = budgets.breakers()
    assert (closed.state, closed.until) == ("closed", None)
    budgets.banned("h", 418, 90.0, "it answered 418", trial=False)
    (opened,) = budgets.breakers()
    assert (opened.state, opened.until, opened.failures) == ("open", now[0] + 90 * SECOND, 1)
    assert opened.words == "nothing is sent to h until 2023-11-14 22:14:50 UTC: it answered 418"
    now[0] += 90 * SECOND
    assert budgets.breakers()[0].state == "half_open"
    assert budgets.admit("h", wish).trial
    (trying,) = budgets.breakers()
    assert trying.state == "half_open"
    assert "on trial" in trying.words
    budgets.failed("h", "no route", trial=True)
    assert budgets.breakers()[0].state == "open"
