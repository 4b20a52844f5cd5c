"""Going back where nobody knows how an exchange pages: nothing is missing from what is given, or nothing is given."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.ccxt_frames import Row
from exchanges.ccxt_pages import MOST_PAGES, older

START = 1_700_000_000_000


def history(gaps):
    at, rows = START, []
    for number, gap in enumerate(gaps, 1):
        at += gap
        rows.append(Row(str(number), at, "1", "1", "buy"))
    return rows


def ways(rows, size):
    """How exchanges answer to a time: the first trades from it on, the last ones, the last ones whatever it is."""
    return {
        "first": lambda since: [row for row in rows if row.timestamp >= since][:size],
        "last": lambda since: [row for row in rows if row.timestamp >= since][-size:],
        "heedless": lambda since: [row for row in rows[-size:] if row.timestamp >= since],
        "other ids": lambda since: [
            Row(f"x{row.id}", row.timestamp, "1", "1", "buy") for row in rows if row.timestamp >= since
        ][:size],
    }


def gone_back(way, anchor):
    asked = []

    async def page(since):
        asked.append(since)
        return way(since)

    found = asyncio.run(older(page, (int(anchor.id), anchor.timestamp * 1000)))
    assert len(asked) <= MOST_PAGES
    return found


@given(
    st.lists(st.one_of(st.integers(0, 50), st.integers(0, 100_000)), min_size=2, max_size=120),
    st.integers(2, 40),
    st.data(),
)
@settings(max_examples=150, deadline=None)
def test_what_is_given_ends_at_the_anchor_without_a_hole(gaps, size, data):
    rows = history(gaps)
    at = data.draw(st.integers(0, len(rows) - 1))
    for name, way in ways(rows, size).items():
        found = gone_back(way, rows[at])
        assert name != "other ids" or not found
        if not found:
            continue
        first = min(row.timestamp for row in found)
        wanted = {row.id for row in rows if first < row.timestamp < rows[at].timestamp}
        assert wanted <= {row.id for row in found} <= {row.id for row in rows} - {rows[at].id}
        assert all(row.timestamp <= rows[at].timestamp for row in found)


def test_an_exchange_that_pages_forwards_is_read_back_whole_however_busy():
    for gap in (1, 40, 3_000, 200_000):
        rows = history([gap] * 1_500)
        before, got = rows[-100], []
        while before.timestamp > rows[0].timestamp and (found := gone_back(ways(rows, 150)["first"], before)):
            got = found + got
            before = found[0]
        assert [row.id for row in got] == [row.id for row in rows[: len(rows) - 100]], gap


def test_an_exchange_that_heeds_no_time_gives_nothing_older():
    rows = history([500] * 1_000)
    assert gone_back(ways(rows, 200)["heedless"], rows[-200]) == []
