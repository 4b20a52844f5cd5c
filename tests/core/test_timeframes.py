from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnknownName
from core.timeframes import BASE, DAY, HOUR, MINUTE, SECOND, TIMEFRAMES, Timeframe, timeframe

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = (int((datetime(y, 1, 1, tzinfo=UTC) - EPOCH).total_seconds()) * SECOND for y in (1600, 2400))
instants = st.integers(LONG_AGO, FAR_AHEAD)
every_timeframe = st.sampled_from(list(TIMEFRAMES.values()))


def civil(ts: int) -> datetime:
    return EPOCH + timedelta(microseconds=ts)


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


@given(every_timeframe, instants)
def test_every_instant_lies_in_exactly_one_interval(tf: Timeframe, ts: int) -> None:
    start = tf.floor(ts)
    end = tf.end(start)
    assert start <= ts < end
    assert tf.floor(start) == start
    assert tf.floor(end - 1) == start
    assert tf.floor(end) == end


@given(every_timeframe, instants, instants)
def test_floor_keeps_the_order_of_time(tf: Timeframe, a: int, b: int) -> None:
    assert (a <= b) <= (tf.floor(a) <= tf.floor(b))


@given(instants)
def test_months_are_those_of_the_calendar(ts: int) -> None:
    month = timeframe("1M")
    first = civil(ts).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (first + timedelta(days=32)).replace(day=1)
    assert month.floor(ts) == micros(first)
    assert month.end(micros(first)) == micros(after)


@given(instants)
def test_weeks_begin_on_monday(ts: int) -> None:
    start = civil(timeframe("1w").floor(ts))
    assert (start.weekday(), start.hour, start.minute, start.second, start.microsecond) == (0, 0, 0, 0, 0)


@given(instants)
def test_days_and_three_days_count_from_the_epoch(ts: int) -> None:
    assert civil(timeframe("1d").floor(ts)) == civil(ts).replace(hour=0, minute=0, second=0, microsecond=0)
    assert timeframe("3d").floor(ts) % (3 * DAY) == 0


@given(every_timeframe, instants)
def test_a_minute_never_crosses_the_edge_of_a_larger_interval(tf: Timeframe, ts: int) -> None:
    minute = timeframe("1m").floor(ts)
    if tf.name != "1s":
        assert tf.floor(minute) == tf.floor(minute + MINUTE - 1)


@pytest.mark.parametrize(
    ("name", "moment", "start"),
    [
        ("1M", datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), datetime(2024, 2, 1, tzinfo=UTC)),
        ("1M", datetime(2100, 2, 28, 23, 59, tzinfo=UTC), datetime(2100, 2, 1, tzinfo=UTC)),
        ("1M", datetime(2100, 3, 1, tzinfo=UTC), datetime(2100, 3, 1, tzinfo=UTC)),
        ("1M", datetime(1969, 12, 31, 23, tzinfo=UTC), datetime(1969, 12, 1, tzinfo=UTC)),
        ("1w", datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 29, tzinfo=UTC)),
        ("1w", datetime(2024, 8, 11, 23, 59, tzinfo=UTC), datetime(2024, 8, 5, tzinfo=UTC)),
        ("3d", datetime(1969, 12, 31, tzinfo=UTC), datetime(1969, 12, 29, tzinfo=UTC)),
        ("4h", datetime(1969, 12, 31, 23, 59, tzinfo=UTC), datetime(1969, 12, 31, 20, tzinfo=UTC)),
        ("5m", datetime(2024, 8, 8, 23, 54, 15, 342_000, UTC), datetime(2024, 8, 8, 23, 50, tzinfo=UTC)),
    ],
)
def test_known_edges(name: str, moment: datetime, start: datetime) -> None:
    assert civil(timeframe(name).floor(micros(moment))) == start


@pytest.mark.parametrize(
    ("name", "length"), [("1s", SECOND), ("3m", 3 * MINUTE), ("12h", 12 * HOUR), ("1w", 7 * DAY), ("1M", 0)]
)
def test_lengths(name: str, length: int) -> None:
    assert timeframe(name).micros == length
    assert str(timeframe(name)) == name


def test_the_base_is_seconds_and_minutes() -> None:
    assert [tf.name for tf in BASE] == ["1s", "1m"]


@pytest.mark.parametrize("name", ["5min", "", "1Min", "M", "7m", "1 m", "1m\n"])
def test_an_unknown_timeframe_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(UnknownName, match="Known: 1s, 1m"):
        timeframe(name)
