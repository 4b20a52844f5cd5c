from hypothesis import given
from hypothesis import strategies as st

from tidemill.restarts import (
    FIRST_SECONDS,
    LONGEST_SECONDS,
    LOOP_ENDS,
    LOOP_SECONDS,
    SETTLED_SECONDS,
    Restarts,
)

RAN = st.floats(0, 3600, allow_nan=False)


@given(st.lists(st.tuples(RAN, st.floats(0, 0.999)), max_size=40))
def test_a_wait_is_never_longer_than_the_longest_nor_shorter_than_half_the_first(ends) -> None:
    chances = iter([chance for _, chance in ends])
    restarts = Restarts(chance=lambda: next(chances))
    now = 0.0
    for ran, _ in ends:
        now += ran
        wait = restarts.ended(now, ran)
        assert FIRST_SECONDS / 2 <= wait <= LONGEST_SECONDS
        now += wait


@given(st.integers(1, 100), st.floats(0, SETTLED_SECONDS - 0.001))
def test_the_wait_doubles_until_it_is_the_longest(times: int, ran: float) -> None:
    restarts = Restarts(chance=lambda: 1.0)
    waits = [restarts.ended(float(at), ran) for at in range(times)]
    assert waits == [min(LONGEST_SECONDS, FIRST_SECONDS * 2**n) for n in range(times)]


@given(st.integers(0, 50), st.floats(SETTLED_SECONDS, 1e6))
def test_who_has_settled_begins_anew(before: int, ran: float) -> None:
    restarts = Restarts(chance=lambda: 1.0)
    for at in range(before):
        restarts.ended(float(at), 0.0)
    assert restarts.ended(1e7, ran) == FIRST_SECONDS
    assert not restarts.looping(0.0)


@given(st.lists(st.floats(0, 40), min_size=1, max_size=30))
def test_a_crash_loop_is_five_ends_within_a_minute_until_the_process_has_settled(steps: list[float]) -> None:
    restarts = Restarts(chance=lambda: 1.0)
    now, ends = 0.0, []
    expected = False
    for step in steps:
        now += step
        if step >= SETTLED_SECONDS:
            expected, ends = False, []
        ends = [*ends, now][-LOOP_ENDS:]
        expected |= len(ends) == LOOP_ENDS and now - ends[0] <= LOOP_SECONDS
        restarts.ended(now, step)
        assert restarts.looping(0.0) == expected
        assert not restarts.looping(SETTLED_SECONDS)


def test_the_growing_wait_does_not_end_a_crash_loop() -> None:
    restarts = Restarts(chance=lambda: 1.0)
    now = 0.0
    for _ in range(60):
        now += restarts.ended(now, 0.01)
    assert restarts.looping(5.0)
