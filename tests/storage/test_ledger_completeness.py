from itertools import count

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import IntegrityError
from core.gaps import Coverage, DirtyMinute, Gap
from core.settings import LedgerSettings, Settings
from storage.data_folder import DataFolder
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve

T = 1_723_161_240_000_001
MINUTE = 60_000_000
EXAMPLES = settings(max_examples=40, deadline=None)
FRESH = (f"binance:T{n}-USDT" for n in count())


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with serve(Settings(ledger=LedgerSettings()), DataFolder(tmp_path_factory.mktemp("facts") / "data")) as address:
        migrate(address)
        yield address


@pytest.fixture(scope="module")
def ledger(address):
    with Ledger(address) as ledger:
        yield ledger


RANGES = st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda r: (r[0], r[0] + r[1]))
BATCHES = st.lists(st.lists(RANGES, max_size=5), max_size=6)


def claims(name, ranges, space="trade"):
    return [Coverage(name, space, first, last, T + first, T + last) for first, last in ranges]


def stored(ledger, name, space="trade"):
    return ledger.coverage(name, space, 0, T * 2)


def runs(ids):
    """Cut a set of ids into runs without a hole: what the ledger must hold."""
    found = []
    for i in sorted(ids):
        if found and found[-1][1] == i - 1:
            found[-1] = (found[-1][0], i)
        else:
            found.append((i, i))
    return found


@EXAMPLES
@given(BATCHES, st.randoms(use_true_random=False))
def test_coverage_is_the_union_of_all_claims_in_any_order_and_twice_is_once(ledger, batches, random):
    ids = {i for batch in batches for first, last in batch for i in range(first, last + 1)}
    shuffled = [random.sample(batch, len(batch)) for batch in random.sample(batches, len(batches))]
    for order in (batches, batches + batches, shuffled, [[r for batch in shuffled for r in batch]]):
        name = next(FRESH)
        for batch in order:
            ledger.record(coverage=claims(name, batch))
        assert stored(ledger, name) == claims(name, runs(ids))


@EXAMPLES
@given(
    st.lists(st.tuples(RANGES, st.integers(0, 3), st.integers(0, 3)), max_size=8), st.randoms(use_true_random=False)
)
def test_the_ends_of_a_range_do_not_depend_on_the_order_of_claims_that_disagree(ledger, rows, random):
    def apply(rows):
        name = next(FRESH)
        for (first, last), early, late in rows:
            ledger.record(coverage=[Coverage(name, "trade", first, last, T + first - early, T + last + late)])
        return [(c.first_id, c.last_id, c.first_ts, c.last_ts) for c in stored(ledger, name)]

    assert apply(rows) == apply(random.sample(rows, len(rows)))


def test_instruments_and_id_spaces_do_not_touch_each_other(ledger):
    a, b = next(FRESH), next(FRESH)
    ledger.record(coverage=[*claims(a, [(1, 5)]), *claims(a, [(6, 9)], "aggregate"), *claims(b, [(6, 9)])])
    assert stored(ledger, a) == claims(a, [(1, 5)])
    assert stored(ledger, a, "aggregate") == claims(a, [(6, 9)], "aggregate")


def test_coverage_of_an_interval_includes_its_start_and_excludes_its_end(ledger):
    name = next(FRESH)
    ledger.record(coverage=claims(name, [(10, 20), (30, 40), (50, 60)]))
    assert ledger.coverage(name, "trade", T + 20, T + 50) == claims(name, [(10, 20), (30, 40)])
    assert ledger.coverage(name, "trade", T + 21, T + 30) == []


STEPS = st.lists(st.one_of(st.integers(0, 5), st.just("give up")), min_size=1, max_size=8)


@EXAMPLES
@given(STEPS)
def test_a_gap_never_moves_back(ledger, steps):
    name = next(FRESH)
    missing, state = None, None
    for step in steps:
        if step == "give up":
            ledger.give_up([Gap(name, "trade", 1, 5, T, T + 1, 5)])
            state = "unfillable" if state == "open" else state
        else:
            for _ in range(2):
                ledger.record(gaps=[Gap(name, "trade", 1, 5, T, T + 1, step)])
            missing = step if missing is None else min(missing, step)
            # Also one that was given up is repaired, and stays so, once it is filled.
            state = "repaired" if missing == 0 else state or "open"
        given_up = state == "unfillable"
        expected = [] if missing is None else [Gap(name, "trade", 1, 5, T, T + 1, missing, unfillable=given_up)]
        assert ledger.gaps(name) == expected
        assert ledger.gaps(name, state) == expected


GAPS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5), st.integers(6, 9), st.booleans()),
    min_size=1,
    max_size=10,
)


@EXAMPLES
@given(GAPS, st.randoms(use_true_random=False))
def test_gaps_do_not_depend_on_the_order_or_the_number_of_calls(ledger, rows, random):
    def apply(batches):
        name = next(FRESH)
        for batch in batches:
            ledger.record(
                gaps=[
                    Gap(name, "trade", i, i + 1, T + a, T + b, missing, unfillable=gone)
                    for i, missing, a, b, gone in batch
                ]
            )
        # What the rows say is what SQL sees: a gap is listed under its own state alone.
        by_state = {state: ledger.gaps(name, state) for state in ("open", "repaired", "unfillable")}
        assert all(gap.state == state for state, gaps in by_state.items() for gap in gaps)
        assert sum(map(len, by_state.values())) == len(ledger.gaps(name))
        return [(g.first_id, g.missing, g.after_ts, g.before_ts, g.state) for g in ledger.gaps(name)]

    shuffled = random.sample(rows, len(rows))
    assert apply([rows]) == apply([[row] for row in shuffled]) == apply([shuffled, rows])


@pytest.mark.parametrize(
    "change",
    [
        "missing = missing + 1",
        "state = 'open'",
        "state = CASE state WHEN 'repaired' THEN 'unfillable' ELSE 'repaired' END",
        "first_id = first_id - 1",
        "last_id = 99",
    ],
)
def test_not_even_sql_moves_a_gap_back(ledger, address, change):
    name = next(FRESH)
    for gap in (Gap(name, "trade", 1, 5, T, T + 1, 5, unfillable=True), Gap(name, "trade", 1, 5, T, T + 1, 0)):
        ledger.record(gaps=[gap])
        with (
            psycopg.connect(address.conninfo(address.ledger_db)) as connection,
            pytest.raises(psycopg.IntegrityError),
        ):
            connection.execute(f"UPDATE gaps SET {change} WHERE instrument = %s", [name])
        assert ledger.gaps(name, gap.state) == [gap]


FEEDS = ("", "a", "b")
DIRT = st.lists(
    st.builds(
        lambda minute, feed, offset, reason: (minute, feed, -1 if feed == "" else offset, reason),
        st.integers(0, 3),
        st.sampled_from(FEEDS),
        st.integers(0, 9),
        st.sampled_from(["late_trade", "repaired", "proven"]),
    ),
    max_size=10,
)


@EXAMPLES
@given(DIRT, DIRT, st.dictionaries(st.sampled_from(FEEDS[1:]), st.integers(-1, 9)))
def test_a_minute_is_ready_when_all_that_made_it_dirty_is_committed_and_newer_dirt_stays(
    ledger, rows, newer, committed
):
    name = next(FRESH)

    def dirt(rows):
        return [
            DirtyMinute(name, T // MINUTE * MINUTE + m * MINUTE, feed, offset, why) for m, feed, offset, why in rows
        ]

    def model(rows):
        kept = {}
        for row in rows:
            at = (row.minute, row.feed)
            kept[at] = max(kept.get(at, -1), row.offset)
        return kept

    def ready(kept):
        late = {minute for (minute, feed), offset in kept.items() if feed and offset > committed.get(feed, -1)}
        return sorted((minute, feed, offset) for (minute, feed), offset in kept.items() if minute not in late)

    def answer(committed):
        found = [d for d in ledger.dirty(committed, 1_000_000) if d.instrument == name]
        assert [(d.minute, d.feed) for d in found] == sorted((d.minute, d.feed) for d in found)
        return found

    for _ in range(2):
        ledger.record(dirty=dirt(rows))
    folded = answer(committed)
    assert [(d.minute, d.feed, d.offset) for d in folded] == ready(model(dirt(rows)))
    ledger.record(dirty=dirt(newer))
    for _ in range(2):
        ledger.clean(folded)
    left = model(dirt(rows + newer))
    for d in folded:
        if left.get((d.minute, d.feed), 10) <= d.offset:
            del left[d.minute, d.feed]
    everything = answer({"a": 99, "b": 99})
    assert [(d.minute, d.feed, d.offset) for d in everything] == sorted((m, f, o) for (m, f), o in left.items())
    ledger.clean(everything)


def test_the_limit_counts_whole_minutes(ledger):
    name = next(FRESH)
    rows = [DirtyMinute(name, m * MINUTE, feed, 1, "proven") for m in range(4) for feed in ("a", "b")]
    ledger.record(dirty=rows)
    assert [d for d in ledger.dirty({"a": 1, "b": 1}, 3) if d.instrument == name] == rows[:6]
    ledger.clean(rows)


def test_what_is_refused_leaves_nothing_of_its_call(ledger):
    name = next(FRESH)
    good = Gap(name, "trade", 1, 5, T, T + 1, 2)
    for bad in (Gap(name, "trade", 9, 8, T, T + 1, 1), Gap(name, "trade", 10, 12, T, T + 1, -1)):
        with pytest.raises(IntegrityError):
            ledger.record([good, bad], claims(name, [(1, 2)]), [DirtyMinute(name, 0, "", -1, "proven")])
    assert (ledger.gaps(name), stored(ledger, name)) == ([], [])
    assert not [d for d in ledger.dirty({}, 1_000_000) if d.instrument == name]


@pytest.mark.parametrize("ts", [2**63 - 1, -(2**63)])
def test_a_time_beyond_the_calendar_is_refused(ledger, ts):
    with pytest.raises(IntegrityError, match="cannot hold"):
        ledger.record(coverage=[Coverage(next(FRESH), "trade", 1, 2, ts, ts)])


@EXAMPLES
@given(st.integers(-(2**55), 2**57))
def test_times_come_back_to_the_microsecond(ledger, ts):
    name = next(FRESH)
    row = Coverage(name, "trade", 1, 2, ts, ts + 1)
    ledger.record(coverage=[row])
    assert ledger.coverage(name, "trade", ts, ts + 1) == [row]
