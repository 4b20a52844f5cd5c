import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import completeness, continuity_in_time
from core.continuity import Continued
from core.continuity_in_time import SPACE, ContinuityInTime
from core.gaps import Gap
from core.records import Mark, Reread
from core.trades import TradeBatch

NAME, START, LATENESS = "bybit:BTC-USDT-PERP", 1_767_225_600_000_000, 500_000


def batch(numbers: list[int], price: float = 10.0) -> TradeBatch:
    """Give trades by number: trade n has an id that proves nothing, at n tenths of a second."""
    n = np.array(numbers, np.int64)
    ids = (n * 7919) % 1_000_003 + 1
    ts = START + n * 100_000
    ones = np.ones(len(n))
    return TradeBatch(
        NAME, SPACE, ids, ts, ts, ones * price, ones, np.ones(len(n), np.int8), np.ones(len(n), np.int32), n
    )


def at(number: int) -> int:
    return START + number * 100_000


@dataclass
class Recording:
    """Follow a venue's trades 0, 1, 2, … the way a recorder would, and keep all that the fold told."""

    state: ContinuityInTime = field(default_factory=lambda: ContinuityInTime(NAME, LATENESS))
    taken: list[int] = field(default_factory=list)
    gaps: dict[tuple[int, int], Gap] = field(default_factory=dict)
    states: list[str] = field(default_factory=list)

    def hear(self, numbers: list[int], live: bool = True) -> Continued:
        self.state, found = continuity_in_time.follow(self.state, batch(numbers), live=live)
        return self._note(found)

    def mark(self, name: str, cause: str = "") -> Continued:
        self.state, found = continuity_in_time.mark(self.state, Mark(name, "c", cause))  # type: ignore[arg-type]
        return self._note(found)

    def reread(self, first: int, last: int, outcome: str = "closed") -> Continued:
        told = Reread(NAME, SPACE, first, last, outcome)  # type: ignore[arg-type]
        self.state, found = continuity_in_time.reread(self.state, told)
        return self._note(found)

    def pass_time(self, number: int) -> Continued:
        self.state, found = continuity_in_time.pass_time(self.state, at(number))
        return self._note(found)

    def _note(self, found: Continued) -> Continued:
        for run in found.runs:
            self.taken += run.trades.offset.tolist()
        for gap in found.gaps:
            before = self.gaps.get((gap.first_id, gap.last_id))
            assert before is None or gap.missing <= before.missing
            self.gaps[gap.first_id, gap.last_id] = gap
        return found


def proves(state: ContinuityInTime, first: int, last: int) -> bool:
    return any(r.first_ts <= at(first) and r.last_ts >= at(last) for r in state.proven)


def test_an_unbroken_connection_proves_from_its_first_trade_to_its_last() -> None:
    recording = Recording()
    recording.mark("connected")
    recording.hear([0, 1, 2])
    recording.hear([3, 4])
    assert [(r.first_ts, r.last_ts) for r in recording.state.proven] == [(at(0), at(4))]
    assert recording.pass_time(90).gaps == []
    assert proves(recording.state, 0, 4)
    assert not proves(recording.state, 0, 5)


@pytest.mark.parametrize(("told", "cause"), [("silence: no data for 60 s", "silence"), ("", "lost_connection")])
def test_a_lost_connection_leaves_a_gap_with_its_cause(told: str, cause: str) -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("lost", told)
    recording.mark("connected")
    recording.hear([5])
    assert recording.pass_time(50).gaps == [
        Gap(NAME, SPACE, at(1) + 1, at(5) - 1, at(1), at(5), at(5) - at(1) - 1, cause)
    ]
    assert recording.pass_time(60).gaps == []


def test_what_is_fetched_on_connecting_leaves_the_cause_to_the_rest() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("lost", "silence")
    recording.mark("connected")
    recording.reread(at(1), at(3))
    recording.hear([6])
    (gap,) = recording.pass_time(50).gaps
    assert (gap.first_id, gap.cause) == (at(3) + 1, "silence")


def test_a_connection_that_begins_where_none_was_lost_is_a_restart() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("connected")
    recording.hear([2])
    (gap,) = recording.pass_time(50).gaps
    assert gap.cause == "restart"


def test_another_connection_that_takes_over_breaks_nothing() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("resubscribed")
    recording.hear([1, 2])
    assert recording.taken == [0, 1, 2]
    assert proves(recording.state, 0, 2)


def test_a_gap_is_repaired_by_what_the_venue_still_has() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("lost")
    recording.mark("connected")
    recording.hear([5])
    recording.pass_time(50)
    recording.hear([2, 3, 4], live=False)
    found = recording.reread(at(1), at(5))
    assert [gap.state for gap in found.gaps] == ["repaired"]
    assert found.healed == [(at(1), at(5))]
    assert proves(recording.state, 0, 5)
    assert recording.taken == [0, 1, 5, 2, 3, 4]
    assert found.ranges == recording.state.proven


def test_a_repair_before_the_first_trade_says_nothing_of_what_comes_until_it() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("lost")
    recording.mark("connected")
    recording.reread(at(1), at(3))
    # What was subscribed may have come into force between these two.
    recording.hear([30])
    assert not proves(recording.state, 3, 30)
    assert [(gap.first_id, gap.last_id) for gap in recording.pass_time(90).gaps] == [(at(3) + 1, at(30) - 1)]


def test_what_the_venue_no_longer_has_is_unfillable_at_once() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("lost", "journal_full")
    recording.mark("connected")
    recording.hear([5])
    (gap,) = recording.reread(at(1) + 1, at(5) - 1, "unfillable").gaps[-1:]
    assert (gap.state, gap.cause) == ("unfillable", "journal_full")
    recording.hear([3], live=False)
    assert recording.pass_time(60).gaps == []
    assert recording.gaps[gap.first_id, gap.last_id].state == "unfillable"


def test_part_of_a_gap_can_be_repaired() -> None:
    recording = Recording()
    recording.hear([0])
    recording.mark("lost")
    recording.mark("connected")
    recording.hear([10])
    (gap,) = recording.pass_time(50).gaps
    (left,) = recording.reread(at(4), at(10)).gaps
    assert (left.first_id, left.last_id, left.state) == (gap.first_id, gap.last_id, "open")
    assert left.missing == at(4) - at(0) - 1
    assert [g.state for g in recording.reread(at(0), at(4)).gaps] == ["repaired"]


def test_a_trade_that_comes_again_with_another_price_is_told_and_not_taken() -> None:
    recording = Recording()
    recording.hear([0, 1, 2])
    recording.state, found = continuity_in_time.follow(recording.state, batch([1], price=11.0), live=True)
    assert found.duplicates == 1
    assert found.runs == []
    assert found.conflicts is not None
    assert found.conflicts.price.tolist() == [11.0]
    assert recording.hear([2]).conflicts is None


def test_the_end_of_a_recording_makes_every_hole_a_gap() -> None:
    recording = Recording()
    recording.hear([0])
    recording.mark("lost")
    recording.mark("connected")
    recording.hear([1])
    found = recording.mark("ended")
    assert [gap.state for gap in found.gaps] == ["open"]
    recording.hear([9])
    assert not proves(recording.state, 1, 9)


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


def test_a_trade_from_before_all_that_is_remembered_is_refused_live_and_taken_when_fetched() -> None:
    recording = Recording()
    recording.hear(list(range(1000, 2000)))
    found = recording.hear([3])
    assert found.refused is not None
    assert found.runs == []
    assert [len(run.trades) for run in recording.hear([3], live=False).runs] == [1]


def test_the_id_space_decides_which_fold_it_is() -> None:
    assert isinstance(completeness.begun(NAME, SPACE, 1), ContinuityInTime)
    assert not isinstance(completeness.begun(NAME, "trade", 1), ContinuityInTime)


def test_what_was_fetched_before_the_first_connection_is_proven_by_its_reread_alone() -> None:
    recording = Recording()
    recording.hear(list(range(50)), live=False)
    assert recording.state.proven == ()
    found = recording.reread(at(0) + 1, at(49))
    assert found.healed == [(at(0), at(49) + 1)]
    assert recording.reread(at(3), at(60)).healed == [(at(49), at(60) + 1)]
    assert recording.reread(at(3), at(60)).healed == []


def test_old_trades_that_are_fetched_do_not_push_out_what_comes_again() -> None:
    recording = Recording()
    recording.hear(list(range(5_000, 5_400)))
    recording.hear(list(range(3_000)), live=False)
    # As some venues do when they are subscribed to: the latest trades once more.
    assert recording.hear(list(range(5_040, 5_090))).runs == []
    assert len(set(recording.taken)) == len(recording.taken)
