import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from timed_recording import NAME, Recording, at, batch, proves

from core import completeness, continuity_in_time
from core.continuity_in_time import SPACE, ContinuityInTime
from core.gaps import Gap


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


def test_who_hears_less_than_the_venue_still_has_was_not_listening() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.hear(list(range(20, 30)), live=False)
    recording.reread(at(20) + 1, at(29))
    recording.reread(at(1), at(20), "unfillable")
    recording.hear([30])
    assert not proves(recording.state, 1, 30)
    assert [(gap.state, gap.cause, gap.last_id) for gap in recording.gaps.values()][:1] == [
        ("unfillable", "silence", at(20))
    ]


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


def test_a_connection_that_was_lost_between_two_trades_of_one_moment_leaves_a_hole() -> None:
    recording = Recording()
    recording.hear([0, 1])
    recording.mark("lost")
    recording.mark("connected")
    other = batch([1])
    recording.state, _ = continuity_in_time.follow(recording.state, replace(other, ids=other.ids + 1))
    assert recording.state.holes == ()
    recording.hear([2])
    assert not proves(recording.state, 0, 2)
    (hole,) = recording.state.holes
    assert hole.after_ts == at(1)
    assert [gap.cause for gap in recording.pass_time(50).gaps] == ["lost_connection"]
    assert [gap.state for gap in recording.reread(hole.after_ts, at(2)).gaps] == ["repaired"]
    assert proves(recording.state, 0, 2)


def test_what_a_new_connection_repeats_of_a_quiet_market_leaves_no_hole() -> None:
    recording = Recording()
    recording.hear(list(range(5, 10)), live=False)
    recording.reread(at(5), at(9))
    recording.mark("connected")
    # As Bitget does: the latest trades, more of them than were asked for.
    recording.hear(list(range(10)))
    recording.reread(at(9), at(9))
    assert recording.pass_time(900).gaps == []
    assert recording.state.holes == ()
    recording.hear([20])
    recording.reread(at(9), at(20))
    assert proves(recording.state, 5, 20)


def test_a_trade_that_comes_too_late_to_be_judged_leaves_a_gap_of_its_moment() -> None:
    recording = Recording()
    recording.hear(list(range(0, 2000, 2)))
    found = recording.hear([501])
    assert found.runs == []
    assert [(g.first_id, g.last_id, g.cause, g.state) for g in found.gaps] == [(at(501), at(501), "too_late", "open")]
    assert found.healed == [(at(501) - 1, at(501) + 1)]
    assert found.ranges == recording.state.proven
    assert not proves(recording.state, 500, 502)
    assert proves(recording.state, 0, 500)
    recording.hear([2000])
    assert proves(recording.state, 502, 2000)
    recording.hear([501], live=False)
    assert [gap.state for gap in recording.reread(at(500), at(2000)).gaps] == ["repaired"]
    assert proves(recording.state, 0, 2000)


def test_many_gaps_are_each_told_once_and_cost_no_more_than_few() -> None:
    recording = Recording()
    for number in range(0, 20 * continuity_in_time.MOST_STRETCHES, 10):
        recording.hear([number])
        recording.mark("lost")
        recording.mark("connected")
    assert len(recording.state.ranges) == continuity_in_time.MOST_STRETCHES
    assert len(recording.state.gaps) <= continuity_in_time.MOST_STRETCHES
    assert len(recording.gaps) == 2 * continuity_in_time.MOST_STRETCHES - 2
    assert {gap.cause for gap in recording.gaps.values()} == {"lost_connection"}
    # What is older is the ledger's; what is remembered is still repaired.
    low, high = recording.state.gaps[0].first_id, recording.state.gaps[-1].last_id
    told = recording.reread(low - 1, high + 1).gaps
    assert {gap.state for gap in told} == {"repaired"}
    assert recording.state.gaps == ()
