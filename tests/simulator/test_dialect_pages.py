"""Ids that prove nothing, numbers as venues write them, and pages of trades: laws of what dialects share."""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.timeframes import HOUR, MINUTE
from simulator.bitget import frames as bitget
from simulator.clock import MarketClock
from simulator.exchange import SimulatedExchange
from simulator.plain_numbers import double, plain
from simulator.trade_pages import newest, oldest, reverse
from simulator.upbit import frames as upbit

sys.path.insert(0, str(Path(__file__).parent))
from served import invented_hour

TAPE_IDS = st.integers(0, 2**42 - 1)


@pytest.mark.parametrize(("ids", "digits"), [(bitget.IDS, 19), (upbit.IDS, 17)], ids=["bitget", "upbit"])
@given(st.sets(TAPE_IDS, min_size=1, max_size=50))
@settings(max_examples=50)
def test_ids_grow_with_the_tapes_and_do_not_count(ids, digits, tape_ids):
    ordered = np.array(sorted(tape_ids), dtype=np.int64)
    shown = ids.shown(ordered)
    assert np.all(np.diff(shown) > 0)
    assert not np.any(np.diff(shown) == 1)
    assert {len(str(number)) for number in shown.tolist()} == {digits}
    assert [ids.hidden(number) for number in shown.tolist()] == ordered.tolist()
    assert [ids.hidden(number + 1) for number in shown.tolist()] == (ordered + 1).tolist()
    following = ids.shown(ordered + 1) - shown
    assert np.all(following > 1)


@given(st.floats(0, 1e15) | st.decimals(0, 10**15, places=12, allow_nan=False))
@settings(max_examples=200)
def test_numbers_are_plain_and_exact(value):
    exact = Decimal(repr(value)) if isinstance(value, float) else value
    for text in (plain(value), double(value)):
        assert Decimal(text) == exact
        assert set(text) <= set("0123456789.")
    assert "." in double(value)
    assert not plain(value).endswith((".", "0")) or Decimal(plain(value)) % 1 == 0


@pytest.fixture(scope="module")
def exchange():
    tape = invented_hour()
    return SimulatedExchange(tape, MarketClock(1.0, tape.start + HOUR // 2, 7 * MINUTE, monotonic=lambda: 0.0))


@pytest.fixture(scope="module")
def past(exchange):
    """All trades of the spot market so far: (id, venue time)."""
    [trades] = [one for one in exchange.tape.between(0, exchange.now()) if one.instrument.endswith("BTC-USDT")]
    return list(zip(trades.ids.tolist(), (trades.ts + exchange.clock.shift).tolist(), strict=True))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_pages_are_the_ends_of_what_is_asked_for(exchange, past, data):
    market, [*ids], [*times] = exchange.markets(False)[0], *zip(*past, strict=True)
    moments = st.none() | st.sampled_from(times) | st.integers(times[0] - MINUTE, times[-1] + HOUR)
    numbers = st.none() | st.sampled_from(ids) | st.integers(ids[0] - 5, ids[-1] + 5)
    start, end = data.draw(moments, "start"), data.draw(moments, "end")
    first, below = data.draw(numbers, "first"), data.draw(numbers, "below")
    limit = data.draw(st.integers(1, 60), "limit")

    def fits(number, time, low):
        return (
            (start is None or time >= start)
            and (end is None or time < end)
            and (below is None or number < below)
            and (low is None or number >= low)
        )

    asked = newest(exchange, market, limit, start=start, end=end, below=below)
    assert list(zip(asked.ids, asked.ts, strict=True)) == [row for row in past if fits(*row, None)][-limit:]
    asked = oldest(exchange, market, limit, first=first, start=start, end=end, below=below)
    assert list(zip(asked.ids, asked.ts, strict=True)) == [row for row in past if fits(*row, first)][:limit]
    assert reverse(asked).ids.tolist() == asked.ids.tolist()[::-1]
