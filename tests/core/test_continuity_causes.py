"""Why ids are missing, what is given up, and rows that stand for several ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import continuity
from core.continued import Continued
from core.continuity import Continuity
from core.gaps import Gap
from core.records import Mark, Reread
from core.trades import TradeBatch

NAME, START, STEP = "okx:BTC-USDT", 1_700_000_000_000_000, 10_000


def rows(last_ids: list[int], fills: list[int], space: str = "merged") -> TradeBatch:
    ids = np.array(last_ids, np.int64)
    ones, ts = np.ones(len(ids)), START + ids * STEP
    return TradeBatch(
        NAME,
        space,
        ids,
        ts,
        ts,
        ones,
        ones,
        np.ones(len(ids), np.int8),
        np.array(fills, np.int32),
        np.arange(len(ids)),
    )


def ids(first: int, last: int) -> TradeBatch:
    return rows(list(range(first, last + 1)), [1] * (last - first + 1), "trade")


def declared(state: Continuity) -> tuple[Continuity, list[Gap]]:
    state, found = continuity.pass_time(state, START + 10**9)
    return state, found.gaps


@pytest.mark.parametrize(
    ("marks", "cause"),
    [
        ([], "missing_ids"),
        ([Mark("lost", "c", "silence: no data for 60 s"), Mark("connected", "c")], "silence"),
        ([Mark("connected", "c")], "restart"),
        ([Mark("resubscribed", "c")], "missing_ids"),
        ([Mark("lost", "c", "journal_full"), Mark("connected", "c")], "journal_full"),
    ],
)
def test_a_gap_says_why(marks: list[Mark], cause: str) -> None:
    state, _ = continuity.follow(Continuity(NAME, "trade", 1), ids(1, 5))
    for mark in marks:
        state = continuity.mark(state, mark)
    state, _ = continuity.follow(state, ids(9, 9))
    state, gaps = declared(state)
    assert [(gap.first_id, gap.last_id, gap.cause) for gap in gaps] == [(6, 8, cause)]
    _, found = continuity.follow(state, ids(12, 12))
    assert [gap.cause for gap in found.gaps] == ["missing_ids"]


def test_a_connection_that_lost_nothing_is_no_cause() -> None:
    state, _ = continuity.follow(Continuity(NAME, "trade", 1), ids(1, 5))
    state = continuity.mark(state, Mark("lost", "c", "silence"))
    state, _ = continuity.follow(state, ids(6, 6))
    state, _ = continuity.follow(state, ids(9, 9))
    assert [gap.cause for gap in declared(state)[1]] == ["missing_ids"]


def test_what_the_venue_does_not_have_is_given_up_before_it_is_due() -> None:
    state, _ = continuity.follow(Continuity(NAME, "trade", 10**12), ids(1, 5))
    state, _ = continuity.follow(state, ids(9, 9))
    state, found = continuity.reread(state, Reread(NAME, "trade", 6, 8, "unfillable"))
    assert [(gap.state, gap.missing) for gap in found.gaps] == [("open", 3), ("unfillable", 3)]
    _, found = continuity.reread(state, Reread(NAME, "trade", 6, 8, "unfillable"))
    assert found.gaps == []


def test_a_gap_is_given_up_when_all_that_is_left_of_it_is() -> None:
    state, _ = continuity.follow(Continuity(NAME, "trade", 1), ids(1, 5))
    state, _ = continuity.follow(state, ids(20, 20))
    state, _ = declared(state)
    state, _ = continuity.follow(state, ids(10, 12))
    state, found = continuity.reread(state, Reread(NAME, "trade", 6, 9, "unfillable"))
    assert found.gaps == []
    state, _ = continuity.reread(state, Reread(NAME, "trade", 13, 19, "closed"))
    state, found = continuity.reread(state, Reread(NAME, "trade", 1, 19, "unfillable"))
    assert [(gap.state, gap.first_id, gap.last_id, gap.missing) for gap in found.gaps] == [("unfillable", 6, 19, 11)]
    state, found = continuity.follow(state, ids(6, 9))
    assert [(gap.state, gap.missing) for gap in found.gaps] == [("unfillable", 7)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.data())
def test_merged_rows_cover_every_id_that_they_stand_for(sizes: list[int], data: st.DataObject) -> None:
    lasts = np.cumsum(sizes).tolist()
    dropped = data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    again = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=10))
    kept = [n for n in range(len(sizes)) if n not in dropped]
    state = Continuity(NAME, "merged", 0)
    taken: list[int] = []
    duplicates = 0
    for n in [*kept, *[n for n in again if n in kept]]:
        state, found = continuity.follow(state, rows([lasts[n]], [sizes[n]]))
        taken += [int(i) for run in found.runs for i in run.trades.ids]
        duplicates += found.duplicates
    assert sorted(taken) == [lasts[n] for n in kept]
    assert duplicates == len([n for n in again if n in kept])
    missing = {i for h in state.holes for i in range(h.first_id, h.last_id + 1)}
    inner = [n for n in dropped if kept and kept[0] < n < kept[-1]]
    assert missing == {i for n in inner for i in range(lasts[n] - sizes[n] + 1, lasts[n] + 1)}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
def test_merged_rows_and_single_fills_of_the_same_orders_never_count_a_fill_twice(
    sizes: list[int], data: st.DataObject
) -> None:
    lasts = np.cumsum(sizes).tolist()
    orders = list(zip(lasts, sizes, strict=True))
    fills = [(number, 1) for number in range(1, lasts[-1] + 1)]
    told = data.draw(st.lists(st.sampled_from([*orders, *fills]), max_size=30))
    batches = data.draw(st.lists(st.integers(1, 6), min_size=len(told), max_size=len(told)))
    state, taken = Continuity(NAME, "merged", 0), list[int]()
    while told:
        size = batches.pop()
        part, told = told[:size], told[size:]
        state, found = continuity.follow(state, rows([one[0] for one in part], [one[1] for one in part]))
        taken += _stood_for(found)
    state, found = continuity.follow(state, rows([one[0] for one in fills], [1] * len(fills)))
    taken += _stood_for(found)
    assert sorted(taken) == list(range(1, lasts[-1] + 1))
    assert [(r.first_id, r.last_id) for r in state.ranges] == [(1, lasts[-1])]


def _stood_for(found: Continued) -> list[int]:
    counted = [pair for run in found.runs for pair in zip(run.trades.ids, run.trades.fills, strict=True)]
    return [number for last, count in counted for number in range(int(last) - int(count) + 1, int(last) + 1)]


def test_a_batch_of_merged_rows_is_one_run() -> None:
    state, found = continuity.follow(Continuity(NAME, "merged", 0), rows([3, 4, 9], [3, 1, 5]))
    assert [run.trades.ids.tolist() for run in found.runs] == [[3, 4, 9]]
    assert (state.ranges[0].first_id, state.ranges[0].last_id) == (1, 9)
    state, found = continuity.follow(state, rows([4, 9, 12], [1, 5, 3]))
    assert [run.trades.ids.tolist() for run in found.runs] == [[12]]
    assert found.duplicates == 2
