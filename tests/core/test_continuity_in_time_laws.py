import pickle
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from timed_recording import START, Recording, at

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 4)),
        st.tuples(st.just("lost"), st.integers(0, 3)),
        st.tuples(st.just("deaf"), st.integers(1, 3)),
        st.tuples(st.just("reread"), st.integers(0, 6)),
        st.tuples(st.just("again"), st.integers(1, 5)),
        st.tuples(st.just("time"), st.integers(1, 30)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_what_is_called_proven_lacks_no_trade(events: list[tuple[str, int]]) -> None:
    recording, now, fresh = Recording(), 0, True
    for kind, size in events:
        if kind == "deaf":
            # The subscription of a new connection is not in force yet.
            now += size if fresh else 0
        elif kind == "trade":
            fresh = False
            recording.hear(list(range(now, now + size)))
            now += size
        elif kind == "lost":
            recording.mark("lost")
            now += size
            recording.mark("connected")
            fresh = True
        elif kind == "again":
            recording.hear([n for n in range(now - size, now) if n in recording.taken])
        elif kind == "time":
            recording.pass_time(now)
        elif recording.taken and now:
            # A fetch of the latest trades reaches so far back, and all of it is taken.
            reach = list(range(max(0, now - size), now))
            recording.hear([n for n in reach if n not in recording.taken], live=False)
            if reach:
                recording.reread(at(reach[0]), at(reach[-1]))
    had = set(recording.taken)
    assert len(had) == len(recording.taken)
    for known in recording.state.proven:
        inside = range((known.first_ts - START) // 100_000, (known.last_ts - START) // 100_000 + 1)
        assert set(inside) <= had
    missing = set(range(now)) - had
    recording.hear([now + 100])
    recording.pass_time(now + 200)
    for number in missing:
        if recording.taken and number > recording.taken[0]:
            assert any(
                g.state != "repaired" and g.first_id <= at(number) <= g.last_id for g in recording.gaps.values()
            )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1400), st.integers(0, 700)), max_size=8), st.integers(1, 1500))
def test_trades_that_come_too_late_break_the_same_moments_however_they_are_cut(
    late: list[tuple[int, int]], size: int
) -> None:
    numbers = list(range(0, 1400, 2))
    for place, number in late:
        numbers.insert(min(place, len(numbers)), 2 * number + 1)
    whole, cut = Recording(), Recording()
    whole.hear(numbers)
    for low in range(0, len(numbers), size):
        cut.hear(numbers[low : low + size])
    assert cut.taken == whole.taken
    assert cut.state.proven == whole.state.proven
    assert cut.state.gaps == whole.state.gaps


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=1200), st.lists(st.integers(1, 400), max_size=8))
def test_how_trades_are_cut_into_batches_changes_nothing(numbers: list[int], sizes: list[int]) -> None:
    whole, cut = Recording(), Recording()
    numbers = sorted(numbers, key=lambda n: n // 50)
    found = whole.hear(numbers)
    refused = 0 if found.refused is None else len(found.refused)
    position, parts = 0, []
    for size in [*sizes, len(numbers)]:
        part = numbers[position : position + size]
        position += size
        if part:
            parts.append(cut.hear(part))
            cut.state = pickle.loads(pickle.dumps(cut.state))
    assert cut.taken == whole.taken
    assert sum(p.duplicates for p in parts) == found.duplicates
    assert sum(0 if p.refused is None else len(p.refused) for p in parts) == refused
    assert cut.state.proven == whole.state.proven
    assert cut.state.remembered == whole.state.remembered
