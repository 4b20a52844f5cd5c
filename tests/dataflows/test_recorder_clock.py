from hypothesis import given
from hypothesis import strategies as st

from dataflows.recorder.clock import TOLERANCE, Behind, SteadyClock

HOUR = 3_600_000_000
MOVES = st.lists(st.tuples(st.integers(-HOUR, HOUR) | st.integers(-1000, 1000), st.integers(0, HOUR)), max_size=30)


class Hands:
    def __init__(self):
        self.wall, self.monotonic = 10 * HOUR, 0

    def clock(self, floor=0):
        return SteadyClock(floor, wall=lambda: self.wall, monotonic=lambda: self.monotonic)


@given(MOVES, st.integers(0, 20 * HOUR))
def test_it_never_steps_back_follows_forwards_and_tells_when_it_is_ahead(moves, floor):
    hands = Hands()
    clock = hands.clock(floor)
    before = floor
    for step, passed in moves:
        hands.wall, hands.monotonic = max(0, hands.wall + step), hands.monotonic + passed
        now = clock.now()
        assert now >= max(before, hands.wall)
        if hands.wall >= before:
            assert (now, clock.behind) == (hands.wall, None)
        else:
            assert now <= before + passed
        if before - hands.wall > TOLERANCE and now > hands.wall:
            assert clock.behind == Behind(hands.wall, now)
        before = now


def test_after_a_step_back_time_goes_on_as_it_passes_until_the_machine_has_caught_up():
    hands = Hands()
    clock = hands.clock()
    start = clock.now()
    hands.wall -= HOUR
    assert clock.now() == start
    hands.wall, hands.monotonic = hands.wall + 5_000_000, hands.monotonic + 5_000_000
    assert clock.now() == start + 5_000_000
    assert clock.behind == Behind(start - HOUR + 5_000_000, start + 5_000_000)
    hands.wall = start + 5_000_001
    assert clock.now() == start + 5_000_001
    assert clock.behind is None


def test_what_an_earlier_process_has_told_is_not_told_again():
    assert Hands().clock(floor=11 * HOUR).now() == 11 * HOUR
