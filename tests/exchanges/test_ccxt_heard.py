"""Fetched trades never stand beside watched ones that are the same under another id."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import TransientError, VenueError
from exchanges.ccxt_frames import Row
from exchanges.ccxt_heard import ENOUGH, Heard

START = 1_700_000_000_000
SYMBOL = "BTC/USD"


def fills(count, step=100):
    return [Row(str(one), START + step * one, "1", "0.50", "buy") for one in range(1, count + 1)]


def watched(rows, known=None):
    known = known or Heard()
    known.begin(SYMBOL)
    known.note(SYMBOL, [{"id": row.id, "timestamp": row.timestamp, "amount": row.amount} for row in rows])
    return known


def merged(rows, by):
    """Tell fills as OKX's stream does: of each few the last one, with the size of all."""
    return [Row(rows[at].id, rows[at].timestamp, "1", str(0.5 * by), "buy") for at in range(by - 1, len(rows), by)]


def test_before_a_market_is_watched_everything_is_given():
    rows = fills(30)
    assert Heard().sifted(SYMBOL, rows) == rows
    assert Heard().sifted(SYMBOL, []) == []


def test_what_was_seen_both_ways_is_given_whole_for_every_market_and_after_every_break():
    rows = fills(ENOUGH + 30)
    known = watched(rows[:-10])
    # Other texts of the same size are no other size.
    assert known.sifted(SYMBOL, [Row(r.id, r.timestamp, r.price, "0.5", r.side) for r in rows])[-1].id == rows[-1].id
    known.begin("ETH/USD")
    assert known.sifted("ETH/USD", rows) == rows
    known.begin(SYMBOL)
    assert known.sifted(SYMBOL, rows) == rows


def test_until_then_no_more_than_was_watched_too():
    rows = fills(40)
    known = watched(rows[20:30])
    assert known.sifted(SYMBOL, rows) == rows[:30]
    # What is older than the watch stands beside nothing.
    assert known.sifted(SYMBOL, rows[:15]) == rows[:15]


@pytest.mark.parametrize("page", [[], [Row("9000", START + 60_000, "1", "1", "buy")]])
def test_nothing_where_it_does_not_show(page):
    with pytest.raises(TransientError, match="not known yet"):
        watched(fills(40)[20:30]).sifted(SYMBOL, page)


def test_nothing_while_a_watch_has_brought_nothing():
    known = watched(fills(10))
    known.begin(SYMBOL)
    with pytest.raises(TransientError):
        known.sifted(SYMBOL, fills(10))


def test_nothing_of_a_market_whose_watch_has_fallen_behind():
    with pytest.raises(TransientError):
        watched(fills(10)).sifted(SYMBOL, [*fills(10), Row("11", START + 60_000, "1", "1", "buy")])


@pytest.mark.parametrize("by", [2, 3])
def test_trades_that_are_told_in_two_ways_are_never_given_again(by):
    rows = fills(60)
    known = watched(merged(rows, by))
    for page in (rows, merged(rows, by)):
        with pytest.raises(VenueError, match="another way"):
            known.sifted(SYMBOL, page)


def test_other_ids_are_another_way():
    with pytest.raises(VenueError):
        watched(fills(60)).sifted(SYMBOL, [Row(f"t{r.id}", r.timestamp, "1", "0.5", "buy") for r in fills(60)])


def test_a_trade_in_fifty_that_the_watch_missed_is_no_other_way():
    rows = fills(ENOUGH + 200)
    known = watched([row for row in rows if row.id != "40"])
    with pytest.raises(TransientError):
        known.sifted(SYMBOL, rows)
    # Once it is known that both are told alike, it is only a trade that was missed.
    known.sifted(SYMBOL, rows[100:])
    assert known.sifted(SYMBOL, rows) == rows


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60), st.integers(0, 30), st.integers(1, 120))
@settings(max_examples=200)
def test_whatever_the_stream_merges_no_size_is_counted_twice(groups, skipped, page):
    """Sizes of what was watched and of what is given beside it add up to no more than was traded."""
    singles, told, at = [], [], 0
    assume(skipped < len(groups))
    for group in groups:
        parts = [Row(str(at + one + 1), START + 400 * (at + one), "1", "1", "buy") for one in range(group)]
        parts = [Row(one.id, parts[-1].timestamp, "1", "1", "buy") for one in parts]
        singles += parts
        told.append(Row(parts[-1].id, parts[-1].timestamp, "1", str(group), "buy"))
        at += group
    heard = told[skipped:]
    known = watched(heard)
    try:
        given_rows = known.sifted(SYMBOL, singles[-page:])
    except (TransientError, VenueError):
        return
    stored = {row.id: float(row.amount) for row in [*heard, *given_rows]}
    assert sum(stored.values()) <= len(singles)
