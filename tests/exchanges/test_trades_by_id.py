"""All that a venue has of certain ids, asked of a real HTTP server that pages as the venue does."""

import asyncio
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from chained_market import INSTRUMENTS, PAGES, START, ChainedMarket

from core.errors import TransientError, VenueError
from exchanges.rest import Rest, Throttled
from exchanges.trades_by_id import trades_by_id

CHANNELS = [("binance", "trade"), ("binance", "aggregate"), ("okx", "trade"), ("okx", "aggregate"),
            ("coinbase", "trade"), ("deribit", "trade")]  # fmt: skip
WINDOWED = ("okx", "coinbase")


def asked(market, channel, first, last):
    """Give the pages that came, and what was raised in the end."""

    async def ask():
        pages, raised = [], None
        async with market.serving() as known:
            rest = Rest(known)
            wanted = known, INSTRUMENTS[market.name], channel, first, last
            try:
                async for page in trades_by_id(rest, *wanted, received=lambda: 7):
                    pages.append(page)  # noqa: PERF401 - what came before an error counts
            except (TransientError, VenueError) as error:
                raised = error
            finally:
                await rest.close()
        return pages, raised

    return asyncio.run(ask())


def ids_of(pages):
    return [int(n) for page in pages for n in page.ids]


@st.composite
def skips(draw):
    """Give which shares of a hole the venue has skipped, as alternating lengths in pages: there, not there, …"""
    lengths = draw(st.lists(st.sampled_from([0.01, 0.3, 0.99, 1.0, 1.01, 1.9]), min_size=2, max_size=5))
    return lengths, draw(st.booleans())


@pytest.mark.parametrize(("name", "channel"), CHANNELS)
@settings(max_examples=10, deadline=None)
@given(skips())
@example(([1.9, 0.99], False))
@example(([0.3, 1.9, 0.3, 1.9, 0.3], True))
def test_all_that_the_venue_has_comes_once_wherever_it_skipped_ids(name, channel, skips) -> None:
    lengths, there = skips
    have, at = list(range(1, 11)), 11
    for share in lengths:
        count = max(1, round(share * PAGES[name]))
        have += range(at, at + count) if there else ()
        at, there = at + count, not there
    market = ChainedMarket(name, [*have, *range(at, at + 20)])
    pages, raised = asked(market, channel, 11, at - 1)
    assert raised is None
    assert sorted(ids_of(pages)) == [n for n in have if n >= 11]
    assert all(list(page.ids) == sorted(page.ids) and len(page) for page in pages)
    assert {int(t) for page in pages for t in page.ts - page.ids * 1000} <= {START * 1000}
    # Two pages after one another cover at least the ids of one.
    assert market.asked <= 3 * ((at - 11) // PAGES[name] + 1) + 4


@pytest.mark.parametrize(("name", "channel"), CHANNELS)
@pytest.mark.parametrize("newest", [10, 100, 299])
def test_a_venue_that_is_not_as_far_yet_has_not_said_what_it_has(name, channel, newest) -> None:
    market = ChainedMarket(name, range(1, 400))
    market.newest = newest
    pages, raised = asked(market, channel, 11, 300)
    assert isinstance(raised, TransientError)
    assert f"up to id {newest} only" in str(raised)
    assert ids_of(pages) == list(range(11, newest + 1))


def test_a_venue_that_contradicts_itself_is_not_believed(monkeypatch) -> None:
    market = ChainedMarket("binance", range(1, 400))
    monkeypatch.setattr(market, "_from", lambda first, count: [])
    pages, raised = asked(market, "trade", 11, 300)
    assert (pages, type(raised)) == ([], VenueError)
    assert "no trades from id 11 on" in str(raised)


@pytest.mark.parametrize("name", WINDOWED)
def test_a_venue_that_does_not_go_back_as_asked_is_not_believed(name) -> None:
    skipped = ChainedMarket(name, [*range(1, 11), *range(3001, 3400)])
    pages, raised = asked(skipped, "trade", 11, 3200)
    assert (ids_of(pages)[-1], raised) == (3100 if name == "okx" else 3200, None)

    class Stubborn(ChainedMarket):
        def _up_to(self, last, count):
            # The newest page, but for the first question.
            return super()._up_to(last if self.asked == 1 else 2**62, count)

    pages, raised = asked(Stubborn(name, skipped.ids), "trade", 11, 3200)
    assert (pages, type(raised)) == ([], VenueError)
    assert "where those before 3201 were asked for" in str(raised)


@pytest.mark.parametrize("at", range(1, 5))
def test_what_came_before_a_ban_is_good_and_the_rest_comes_later(at) -> None:
    have = [*range(1, 11), *range(201, 620)]
    market = ChainedMarket("okx", have, [*[200] * at, 429])
    pages, raised = asked(market, "trade", 11, 599)
    assert isinstance(raised, Throttled)
    assert market.asked == at + 1
    got = ids_of(pages)
    # From the newest back, as far as it came.
    assert sorted(got) == list(range(600 - 100 * max(0, at - 2), 600))
    again, raised = asked(market, "trade", 11, 599 - len(got))
    assert raised is None
    assert sorted(ids_of(again) + got) == list(range(201, 600))
