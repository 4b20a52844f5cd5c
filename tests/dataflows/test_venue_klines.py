"""Which version of the venue's own candle is its last one."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from core.records import Mark
from core.timeframes import MINUTE
from dataflows.venue_klines import OpenKlines, close_klines
from exchanges.decode import Told
from exchanges.messages import Kline

T0 = 1_736_121_600_000_000
BTC, ETH = "deribit:BTC-USD-PERP", "deribit:ETH-USD-PERP"


def told(offset, minute, close, closed=None, sent=None, name=BTC, volume="2.50"):
    start = T0 + minute * MINUTE
    sent = T0 + offset if sent is None else sent
    prices = ("1", "9", "1", str(close))
    kline = Kline(name, "1m", start, sent, *prices, volume, None, None, None, None, None, None, closed)
    return Told(offset, T0 + offset, kline)


def worked_off(events, cuts=()):
    """Give (offset, minute, close) of each row; an event is told kline or (offset, mark)."""
    state, rows = OpenKlines(), []
    for low, high in pairwise([0, *cuts, len(events)]):
        part = events[low:high]
        klines = [event for event in part if isinstance(event, Told)]
        state, batch = close_klines(state, klines, [event for event in part if not isinstance(event, Told)])
        if batch is not None:
            rows += zip(batch.offset.tolist(), batch.rows, strict=True)
    return [(offset, (row.start - T0) // MINUTE, row.close) for offset, row in rows]


def test_with_a_flag_only_the_closed_version_counts_and_only_once():
    events = [
        told(0, 0, 2, False),
        told(1, 0, 3, True),
        told(2, 0, 3, True),
        told(3, 1, 4, False),
        told(4, 2, 5, True),
    ]
    assert worked_off(events) == [(1, 0, 3.0), (4, 2, 5.0)]


def test_without_a_flag_a_later_candle_closes_the_one_before_in_its_last_version():
    events = [
        told(0, 0, 2),
        told(1, 0, 3),
        told(2, 1, 4),
        told(3, 1, 5, name=ETH),
        told(4, 3, 6),
        told(5, 2, 1, name=ETH),
    ]
    assert worked_off(events) == [(2, 0, 3.0), (4, 1, 4.0), (5, 1, 5.0)]


def test_what_a_lost_connection_has_left_half_told_is_no_candle():
    lost = Mark("lost", "c", "cut", (ETH,))
    events = [told(0, 0, 2), told(1, 0, 7, name=ETH), (2, lost), told(3, 4, 3), told(4, 4, 3, name=ETH)]
    assert worked_off(events) == [(3, 0, 2.0)]
    assert worked_off([told(0, 0, 2), (1, Mark("lost")), told(2, 4, 3)]) == []
    # Told again after it, it is one.
    assert worked_off([told(0, 0, 2), (1, Mark("lost")), told(2, 0, 5), told(3, 1, 3)]) == [(3, 0, 5.0)]
    # Who was killed could not tell that the connection went; the next one does.
    assert worked_off([told(0, 0, 2), (1, Mark("connected")), told(2, 1, 3)]) == []
    assert worked_off([told(0, 0, 2), (1, Mark("resubscribed")), told(2, 1, 3)]) == [(2, 0, 2.0)]
    # A connection that carries no trades names no instrument.
    assert worked_off([told(0, 0, 2), (1, Mark("lost", "c", "cut", ())), told(2, 1, 3)]) == []


def test_the_past_told_anew_is_taken_and_what_was_slow_to_come_is_not():
    events = [told(0, 0, 2), told(1, 1, 3), told(2, 0, 9, sent=T0), told(3, 2, 4)]
    assert worked_off(events) == [(1, 0, 2.0), (3, 1, 3.0)]
    again = [told(0, 5, 2), *(told(1 + n, n, n + 1) for n in range(7))]
    assert [(minute, close) for _, minute, close in worked_off(again)] == [(n, n + 1.0) for n in range(6)]


def test_a_version_that_comes_again_or_late_does_not_take_the_place_of_a_later_one():
    again = [told(0, 0, 2), told(1, 0, 3), told(2, 0, 2, sent=T0), told(3, 1, 4)]
    assert worked_off(again) == [(3, 0, 3.0)]
    # Not every venue tells when it sent one; but a candle's volume only grows.
    untimed = [told(0, 0, 2), told(1, 0, 3, volume="3"), told(2, 0, 2), told(3, 1, 4)]
    assert worked_off(untimed) == [(3, 0, 3.0)]
    late = [told(0, 0, 2), told(2, 1, 4), told(3, 0, 3, sent=T0 + 1, volume="3"), told(4, 1, 5), told(5, 2, 1)]
    assert worked_off(late) == [(2, 0, 2.0), (3, 0, 3.0), (5, 1, 5.0)]


events = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 9), st.sampled_from([None, None, True, False]), st.integers(0, 9)),
    max_size=25,
)


@given(events, st.data())
@settings(max_examples=100, deadline=None)
def test_the_rows_do_not_depend_on_the_blocks(drawn, data):
    records = [
        (offset, Mark("lost" if extra == 1 else "ended"))
        if extra in (1, 2)
        else told(offset, minute, close, closed, name=ETH if extra > 7 else BTC)
        for offset, (minute, close, closed, extra) in enumerate(drawn)
    ]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=5)))
    whole = worked_off(records)
    assert worked_off(records, cuts) == whole
    assert worked_off(records, range(1, len(records))) == whole
