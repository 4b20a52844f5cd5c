from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count, groupby

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import CANDLES_SCHEMA, EXACT, Candle, candles_from_arrow
from core.roll_up import RollUp, roll_up
from core.timeframes import BASE, DAY, MINUTE, TIMEFRAMES
from storage import lake
from storage.catalog import open_catalog

LARGER = [name for name, tf in TIMEFRAMES.items() if tf not in BASE]
NAMES = count()


def micros(*civil):
    return int(datetime(*civil, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture(scope="module")
def stored(fresh_lake, tmp_path_factory):
    address, path = fresh_lake(), str(tmp_path_factory.mktemp("rollup"))
    connection = lake.connect(address, path, read_only=False)
    catalog = open_catalog(address, path)
    yield lake.LakeWriter(connection, "law"), catalog
    catalog.close()
    connection.close()


def arrow(candles):
    columns = {name: [getattr(c, name) for c in candles] for name in CANDLES_SCHEMA.names}
    columns["start"] = pa.array(columns["start"], pa.int64()).cast(pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_pydict(columns, CANDLES_SCHEMA)


def view(catalog, instrument, timeframe):
    query = "SELECT * FROM candles WHERE instrument = ? AND timeframe = ? ORDER BY start"
    return candles_from_arrow(catalog.execute(query, [instrument, timeframe]).to_arrow_table())


# The fold once more, by calendar dates and without any of the code that it judges.
def interval(name, start):
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    number, unit = int(name[:-1]), name[-1]
    if unit == "M":
        first = midnight.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    if unit == "w":
        first = midnight - timedelta(days=midnight.weekday())
        return first, first + timedelta(days=7)
    if unit == "d":
        days = (midnight - datetime(1970, 1, 1, tzinfo=UTC)).days
        first = midnight - timedelta(days=days % number)
        return first, first + timedelta(days=number)
    length = timedelta(**{{"m": "minutes", "h": "hours"}[unit]: number})
    first = midnight + (at - midnight) // length * length
    return first, first + length


def added(values):
    total = Decimal(0)
    for value in values:
        total = EXACT.add(total, value)
    return total


def folded(minutes, name):
    candles = []
    for (first, past), group in groupby(minutes, key=lambda m: interval(name, m.start)):
        rows = list(group)
        busy = [row for row in rows if row.trade_count] or [replace(rows[0], high=rows[0].close, low=rows[0].close)]
        candles.append(
            Candle(
                rows[0].instrument,
                name,
                int(first.timestamp()) * 1_000_000,
                busy[0].open if busy[0].trade_count else busy[0].close,
                max(row.high for row in busy),
                min(row.low for row in busy),
                busy[-1].close,
                added(row.volume for row in rows),
                added(row.quote_volume for row in rows),
                sum(row.trade_count for row in rows),
                added(row.taker_buy_volume for row in rows),
                all(row.complete for row in rows) and len(rows) == (past - first) // timedelta(minutes=1),
                max(row.revision for row in rows),
            )
        )
    return candles


prices = st.integers(1, 500).map(lambda ticks: ticks / 100)
sums = st.decimals(min_value=0, max_value=Decimal("1e13"), places=18)
minute_values = st.one_of(
    st.none(),
    st.tuples(prices, prices, prices, prices, sums, st.integers(0, 3), st.sampled_from([True, True, True, False])),
)
edges = st.sampled_from(
    [
        micros(2023, 12, 31, 23, 50),
        micros(2024, 2, 28, 23, 55),
        micros(2024, 2, 29, 23, 55),
        micros(2023, 2, 28, 23, 58),
        micros(2024, 8, 4, 23, 57),
        micros(2024, 8, 31, 23, 59),
        micros(1970, 1, 4, 23, 55),
        micros(2100, 2, 28, 23, 55),
    ]
)


def candle(instrument, start, values, revision=0):
    first, second, third, fourth, volume, trades, complete = values
    high, low = max(first, second, third, fourth), min(first, second, third, fourth)
    if trades:
        return Candle(
            instrument,
            "1m",
            start,
            first,
            high,
            low,
            fourth,
            volume,
            volume,
            trades,
            EXACT.divide(volume, 2),
            complete,
            revision,
        )
    none = Decimal(0)
    return Candle(instrument, "1m", start, first, first, first, first, none, none, 0, none, complete, revision)


@settings(max_examples=12, deadline=None)
@given(edges, st.lists(minute_values, min_size=1, max_size=24), st.lists(st.integers(0, 23), max_size=3), st.data())
def test_the_view_is_the_fold_of_the_latest_minutes(stored, edge, values, revised, data):
    writer, catalog = stored
    name = f"binance:A{next(NAMES)}-USDT"
    starts = [edge + n * MINUTE for n in range(len(values))]
    latest = {s: candle(name, s, quantised(v)) for s, v in zip(starts, values, strict=True) if v is not None}
    writer.commit([], [arrow(list(latest.values()))] if latest else [], {name: 0})
    for n in revised:
        start = edge + n * MINUTE
        values_again = quantised(data.draw(minute_values.filter(lambda v: v is not None)))
        revision = latest[start].revision + 1 if start in latest else 1
        latest[start] = candle(name, start, values_again, revision)
        writer.revise([arrow([latest[start]])])
    minutes = [latest[s] for s in sorted(latest)]
    assert view(catalog, name, "1m") == minutes
    query = "SELECT * FROM candles WHERE instrument = ? ORDER BY timeframe, start"
    shown = candles_from_arrow(catalog.execute(query, [name]).to_arrow_table())
    assert shown == [c for timeframe in sorted(["1m", *LARGER]) for c in folded(minutes, timeframe)]


def quantised(values):
    # Half of a sum must have 18 decimals as well.
    return None if values is None else (*values[:4], EXACT.multiply(values[4], 2), *values[5:])


@pytest.mark.parametrize("timeframe", ["1d", "3d", "1w", "1M"])
def test_whole_intervals_are_complete_and_one_minute_less_is_not(stored, timeframe):
    writer, catalog = stored
    tf = TIMEFRAMES[timeframe]
    start = tf.floor(micros(2024, 2, 20))
    end = tf.end(start)
    values = (1.0, 3.0, 0.5, 2.0, Decimal(2), 1, True)
    for missing, complete in ((None, True), (start, False), (end - MINUTE, False)):
        name = f"binance:W{next(NAMES)}-USDT"
        minutes = [candle(name, s, values) for s in range(start, end, MINUTE) if s != missing]
        writer.commit([], [arrow(minutes)], {name: 0})
        assert [(c.start, c.complete) for c in view(catalog, name, timeframe)] == [(start, complete)]
        assert view(catalog, name, timeframe) == folded(minutes, timeframe)


def test_the_live_fold_gives_what_the_view_shows(stored):
    writer, catalog = stored
    name = f"binance:L{next(NAMES)}-USDT"
    start = micros(2024, 12, 31, 20)
    values = [(1.0 + n % 7, 2.0, 0.5 + n % 3, 1.0 + n % 5, Decimal(n + 1), n % 4, n % 97 != 5) for n in range(600)]
    minutes = [candle(name, start + n * MINUTE, v) for n, v in enumerate(values) if n % 50 != 49]
    writer.commit([], [arrow(minutes)], {name: 0})
    for timeframe in LARGER:
        state, live = RollUp(TIMEFRAMES[timeframe]), []
        for minute in minutes:
            state, closed = roll_up(state, minute)
            live += closed
        shown = view(catalog, name, timeframe)
        # What is still forming is shown as well.
        assert live == shown[: len(live)]
        assert len(shown) - len(live) == (1 if state.forming else 0)


def test_seconds_are_shown_as_they_are_stored(stored):
    writer, catalog = stored
    name = f"binance:S{next(NAMES)}-USDT"
    seconds = [
        replace(candle(name, DAY * 20_000 + n, (1.0,) * 4 + (Decimal(1), 1, True)), timeframe="1s")
        for n in (0, 1_000_000)
    ]
    writer.commit([], [arrow(seconds)], {name: 0})
    writer.revise([arrow([replace(seconds[0], revision=1, close=9.0)])])
    assert view(catalog, name, "1s") == [replace(seconds[0], revision=1, close=9.0), seconds[1]]
    assert view(catalog, name, "1m") == []
