"""The market's clock, driven by a time that the test sets."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.timeframes import DAY, SECOND
from simulator.clock import MarketClock

START = 1_736_121_600_000_000

seconds = st.floats(0, 1e5, allow_nan=False)
speeds = st.floats(0.01, 1000)
acts = st.one_of(
    st.tuples(st.just("wait"), seconds),
    st.tuples(st.just("speed"), speeds),
    st.tuples(st.sampled_from(["pause", "resume"]), st.none()),
)


class Hand:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.at = 1234.5

    def __call__(self) -> float:
        return self.at


def do(clock: MarketClock, hand: Hand, act: str, value: Any) -> None:
    if act == "wait":
        hand.at += value
    elif act == "speed":
        clock.speed = value
    else:
        getattr(clock, act)()


@given(speeds, st.lists(acts, max_size=20))
def test_the_clock_never_goes_back_and_nothing_but_waiting_moves_it(
    speed: float, done: list[tuple[str, Any]]
) -> None:
    hand = Hand()
    clock = MarketClock(speed, START, monotonic=hand)
    assert clock.now() == START
    for act, value in done:
        before, paused, rate = clock.now(), clock.paused, clock.speed
        do(clock, hand, act, value)
        passed = clock.now() - before
        if act != "wait" or paused:
            assert passed == 0
        else:
            # A reading of some 1e5 seconds in doubles is good to 1e-11 of them.
            assert passed == pytest.approx(value * SECOND * rate, abs=2 + 1e-4 * rate)
        assert passed >= 0


@given(speeds, st.integers(-DAY, DAY), st.integers(0, DAY))
def test_the_shift_is_exact_and_time_travel_is_where_it_was_asked_for(speed: float, shift: int, to: int) -> None:
    hand = Hand()
    clock = MarketClock(speed, START, shift, monotonic=hand)
    hand.at += 7.25
    clock.seek(START + to)
    assert clock.now() == START + to
    assert clock.venue(clock.now()) - clock.now() == shift
    assert clock.tape(clock.venue(START)) == START
    hand.at += 1
    assert clock.now() - START - to == pytest.approx(speed * SECOND, abs=1)


@given(speeds, st.integers(0, DAY))
def test_the_wall_tells_when_a_time_comes(speed: float, ahead: int) -> None:
    hand = Hand()
    clock = MarketClock(speed, START, monotonic=hand)
    hand.at += 3.5
    target = clock.now() + ahead
    hand.at = clock.wall(target)
    assert abs(clock.now() - target) <= 2
    clock.pause()
    hand.at += 100
    assert clock.wall(clock.now() + 1) == math.inf
    assert clock.wall(clock.now()) <= hand.at


def test_a_paused_clock_may_be_sought_and_stays_paused() -> None:
    hand = Hand()
    clock = MarketClock(2.0, START, monotonic=hand)
    clock.pause()
    clock.pause()
    clock.seek(START + DAY)
    hand.at += 5
    assert clock.now() == START + DAY
    assert clock.paused
    clock.resume()
    clock.resume()
    hand.at += 1
    assert clock.now() == START + DAY + 2 * SECOND


def test_the_real_clock_runs() -> None:
    clock = MarketClock(1000.0, START)
    now = clock.now()
    while clock.now() == now:
        pass
    assert clock.now() > now >= START


@pytest.mark.parametrize("speed", [0.0, -1.0, math.inf, math.nan])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(UserError, match="speed"):
        MarketClock(speed, START)
    clock = MarketClock(3.0, START)
    with pytest.raises(UserError, match="speed"):
        clock.speed = speed
    assert clock.speed == 3.0
