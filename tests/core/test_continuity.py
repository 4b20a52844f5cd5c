import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core import continuity
from core.continuity import Continuity, follow
from core.timeframes import DAY
from core.trades import TradeBatch

NAME = "binance:LTC-USDT"
STEP = 10_000


def batch(ids, later=0):
    ids = np.array(ids, dtype=np.int64)
    n = len(ids)
    ts = 1_700_000_000_000_000 + ids * STEP + later
    return TradeBatch(
        NAME,
        "trade",
        ids,
        ts,
        ts,
        np.ones(n),
        np.ones(n),
        np.ones(n, np.int8),
        np.ones(n, np.int32),
        np.arange(n),
    )


def run(ids, lateness=5 * STEP, cuts=(), finish=True):
    state = Continuity(NAME, "trade", lateness)
    edges = [0, *sorted(cuts), len(ids)]
    all_found = []
    for low, high in itertools.pairwise(edges):
        state, found = follow(state, batch(ids[low:high]))
        all_found.append(found)
    if finish:
        state, found = continuity.end(state)
        all_found.append(found)
    return state, all_found


def passed(found):
    return [int(i) for one in found for run in one.runs for i in run.trades.ids]


def final_gaps(found):
    rows = {}
    for one in found:
        for gap in one.gaps:
            key = (gap.first_id, gap.last_id)
            assert gap.missing < rows[key].missing if key in rows else True, "a gap only shrinks"
            rows[key] = gap
    return rows


def missing(ids):
    seen = set(ids)
    return [i for i in range(min(ids), max(ids)) if i not in seen]


IDS = st.lists(st.integers(1, 60), min_size=1, max_size=80)


@given(IDS)
@settings(max_examples=300, deadline=None)
def test_every_id_passes_once_in_order_of_first_arrival(ids):
    _, found = run(ids)
    assert passed(found) == list(dict.fromkeys(ids))
    assert sum(one.duplicates for one in found) == len(ids) - len(set(ids))


@given(IDS)
@settings(max_examples=300, deadline=None)
def test_at_the_end_gaps_and_coverage_say_exactly_what_is_missing(ids):
    state, found = run(ids)
    open_gaps = [g for g in final_gaps(found).values() if g.missing]
    assert sum(g.missing for g in open_gaps) == len(missing(ids))
    inside = {i for g in open_gaps for i in range(g.first_id, g.last_id + 1)}
    assert set(missing(ids)) <= inside
    covered = {i for r in state.ranges for i in range(r.first_id, r.last_id + 1)}
    assert covered == set(ids)
    claimed = {i for one in found for c in one.coverage for i in range(c.first_id, c.last_id + 1)}
    assert claimed == set(ids)


@given(IDS, st.lists(st.integers(0, 80), max_size=10))
@settings(max_examples=300, deadline=None)
def test_batching_changes_neither_gaps_nor_runs(ids, cuts):
    whole, found = run(ids)
    pieces, found_in_pieces = run(ids, cuts=[min(c, len(ids)) for c in cuts])
    assert whole.ranges == pieces.ranges
    assert whole.gaps == pieces.gaps
    assert final_gaps(found) == final_gaps(found_in_pieces)
    assert passed(found) == passed(found_in_pieces)


@given(IDS)
@settings(max_examples=200, deadline=None)
def test_twice_is_once(ids):
    once, _ = run(ids, finish=False)
    twice, again = follow(once, batch(ids))
    assert not again.runs
    assert twice.ranges == once.ranges


def test_a_hole_becomes_a_gap_only_when_event_time_has_passed_it_by_the_lateness():
    state, found = run([1, 2, 5, 9], finish=False)
    assert not final_gaps(found)
    state, more = follow(state, batch([10]))
    assert [(g.first_id, g.last_id, g.missing) for g in more.gaps] == [(3, 4, 2)]
    assert more.gaps[0].after_ts == 1_700_000_000_000_000 + 2 * STEP
    assert more.gaps[0].before_ts == 1_700_000_000_000_000 + 5 * STEP


def test_what_arrives_in_time_leaves_no_gap():
    _, found = run([1, 2, 5, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13])
    assert not final_gaps(found)


def test_a_gap_is_repaired_by_what_arrives_later_and_its_stretch_of_time_is_healed():
    state, _ = run([1, 2, 5, 20], finish=False)
    state, found = follow(state, batch([4]))
    assert [(g.first_id, g.last_id, g.missing, g.state) for g in found.gaps] == [(3, 4, 1, "open")]
    state, found = follow(state, batch([3]))
    assert [(g.first_id, g.last_id, g.missing, g.state) for g in found.gaps] == [(3, 4, 0, "repaired")]
    t = 1_700_000_000_000_000
    assert found.healed == [(t + 2 * STEP, t + 4 * STEP)]


def test_an_older_recording_that_comes_in_afterwards_leaves_no_gap_behind():
    newer, older = list(range(500, 600)), list(range(400, 500))
    state, found = run(newer + older, cuts=[100, 130, 131])
    assert not final_gaps(found)
    assert [(r.first_id, r.last_id) for r in state.ranges] == [(400, 599)]


def test_the_passing_of_time_alone_turns_a_hole_into_a_gap():
    state, found = run([1, 2, 5], finish=False)
    assert not final_gaps(found)
    state, more = continuity.pass_time(state, 1_700_000_000_000_000 + 100 * STEP)
    assert [(g.first_id, g.last_id) for g in more.gaps] == [(3, 4)]


def test_more_holes_than_are_remembered_are_refused_not_guessed(monkeypatch):
    monkeypatch.setattr(continuity, "MOST_HOLES", 3)
    state, _ = run([10, 20, 30, 40, 50, 60], finish=False)
    state, found = follow(state, batch([11, 45]))
    assert passed([found]) == [45]
    assert found.refused is not None
    assert found.refused.ids.tolist() == [11]


@given(IDS, st.lists(st.integers(-40, 60), min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_ids_that_begin_anew_are_set_apart_and_change_nothing(ids, again):
    known, _ = run(ids, finish=False)
    again = [number for number in again if number <= max(ids)]
    state, found = follow(known, batch(again, later=DAY))
    assert state == known
    assert (found.conflicts.ids.tolist() if again else []) == again
    assert (found.runs, found.gaps, found.duplicates) == ([], [], 0)
    # What is really older or the same goes its way between them.
    mixed = TradeBatch.concat([batch([5, 6], later=DAY), batch([7, 8, 9]), batch([10], later=DAY)])
    state, found = follow(follow(Continuity(NAME, "trade", 0), batch([1, 8, 20]))[0], mixed)
    assert passed([found]) == [7, 9]
    assert found.duplicates == 1
    assert found.conflicts.ids.tolist() == [5, 6, 10]
