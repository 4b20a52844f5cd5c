"""The shares of the view `completeness` against a count over a small time line, whatever the ledger holds."""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.catalog.completeness import COMPLETENESS

MIDNIGHT = datetime(2024, 8, 9, tzinfo=UTC)
A_DAY = 4
"""So many steps are a day."""

MOMENTS = st.integers(0, 3 * A_DAY)
SPACES = st.sampled_from(["trade", "aggregate"])
# Ids and event times need not ascend together: ranges may overlap in time, and end before they begin.
RANGES = st.lists(st.tuples(SPACES, MOMENTS, MOMENTS), min_size=1, max_size=6)
STATES = st.sampled_from([(0, "repaired"), (0, "unfillable"), (2, "open"), (2, "unfillable")])
GAPS = st.lists(st.tuples(SPACES, MOMENTS, MOMENTS, STATES), max_size=6)


@pytest.fixture(scope="module")
def ledger():
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; ATTACH ':memory:' AS ledger; CREATE SCHEMA ledger.public")
        columns = "instrument VARCHAR, id_space VARCHAR, first_id BIGINT, last_id BIGINT"
        connection.execute(
            f"CREATE TABLE ledger.public.coverage ({columns}, first_ts TIMESTAMPTZ, last_ts TIMESTAMPTZ)"
        )
        connection.execute(
            f"CREATE TABLE ledger.public.gaps ({columns}, after_ts TIMESTAMPTZ, before_ts TIMESTAMPTZ,"
            " missing BIGINT, cause VARCHAR, state VARCHAR)"
        )
        yield connection


def at(step):
    return MIDNIGHT + step * timedelta(days=1) / A_DAY


def shown(ledger, ranges, gaps):
    ledger.execute("DELETE FROM ledger.public.coverage; DELETE FROM ledger.public.gaps")
    for space, low, high in ranges:
        ledger.execute("INSERT INTO ledger.public.coverage VALUES ('a', ?, 1, 2, ?, ?)", [space, at(low), at(high)])
    for space, low, high, (missing, state) in gaps:
        ledger.execute(
            "INSERT INTO ledger.public.gaps VALUES ('a', ?, 1, 2, ?, ?, ?, '', ?)",
            [space, at(low), at(high), missing, state],
        )
    rows = ledger.execute(COMPLETENESS).fetchall()
    found = {(space, day): rest for _, space, day, *rest in rows}
    assert len(found) == len(rows)
    return found


def counted(ranges, gaps):
    """Count step by step: a step is covered, a hole, both, or neither."""
    ranges = [(min(ends), max(ends)) for ends in ranges]
    gaps = [(low, max(low, high), told) for low, high, told in gaps]
    first = min(low for low, _ in ranges)
    last = max([high for _, high in ranges] + [high for _, high, _ in gaps])
    covered = {step for low, high in ranges for step in range(low, high)}
    holes = {step for low, high, _ in gaps for step in range(low, high)}
    days = {}
    for number in range(3 + 1):
        steps = [s for s in range(number * A_DAY, (number + 1) * A_DAY) if first <= s < last]
        if not steps and not (first == last and first // A_DAY == number):
            continue
        begins, ends = (steps[0], steps[-1] + 1) if steps else (first, last)
        n = len(steps) or 1
        proven = sum(s in covered and s not in holes for s in steps) / n if steps else 1
        repaired = sum(s in covered and s in holes for s in steps) / n
        missing = sum(s not in covered for s in steps) / n
        within = [
            told
            for low, high, told in gaps
            if set(steps or [first]) & set(range(low, high)) or low in steps or low == ends == last
        ]
        open_ = sum(told == (2, "open") for told in within)
        gone = sum(told == (2, "unfillable") for told in within)
        day = (MIDNIGHT + timedelta(days=number)).date()
        days[day] = (at(begins), at(ends), proven, repaired, missing, len(within) - open_ - gone, open_, gone)
    return days


@settings(max_examples=50, deadline=None)
@given(RANGES, GAPS)
# A gap of no length at midnight, and recorded time that ends there.
@example([("trade", 0, 4), ("trade", 4, 8)], [("trade", 4, 4, (2, "open")), ("trade", 8, 8, (2, "open"))])
# Part of a gap that the exchange does not fill any more was fetched all the same.
@example([("trade", 0, 2), ("trade", 3, 6)], [("trade", 2, 4, (2, "unfillable"))])
def test_shares_are_what_a_count_of_every_step_gives(ledger, ranges, gaps):
    found = shown(ledger, ranges, gaps)
    wanted = {
        (space, day): row
        for space in {space for space, *_ in ranges}
        for day, row in counted(
            [ends for one, *ends in ranges if one == space], [rest for one, *rest in gaps if one == space]
        ).items()
    }
    assert found.keys() == wanted.keys()
    for key, row in found.items():
        proven, repaired, missing = row[2:5]
        assert all(0 <= share <= 1 for share in (proven, repaired, missing))
        assert proven + repaired + missing == pytest.approx(1)
        assert tuple(row[:2]) == wanted[key][:2]
        assert tuple(row[2:]) == pytest.approx(wanted[key][2:])
