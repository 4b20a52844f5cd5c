from decimal import Decimal
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.trades import TradeBatch
from storage import lake

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z
DAY = 86_400_000_000
MINUTE = 60_000_000
NAMES = count()


def same(left, right):
    return all(
        np.array_equal(
            a.view(np.int64) if a.dtype == np.float64 else a, b.view(np.int64) if b.dtype == np.float64 else b
        )
        for a, b in zip(left.columns(), right.columns(), strict=True)
    )


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.decimals(min_value=0, max_value=Decimal("1e19"), places=18, allow_nan=False), min_size=1, max_size=5)
)
def test_sums_survive_to_the_last_digit(law_lake, candle, arrow, volumes):
    connection, writer = law_lake
    start = T + next(NAMES) * 10 * MINUTE
    stored = [candle(start + n * MINUTE, volume=str(v)) for n, v in enumerate(volumes)]
    writer.commit([], [arrow(*stored)], {"f": start})
    assert lake.latest_candles(connection, "binance:BTC-USDT", "1m", start, start + 10 * MINUTE) == stored


@pytest.fixture(scope="module")
def law_lake(fresh_lake, tmp_path_factory):
    connection = lake.connect(fresh_lake(), str(tmp_path_factory.mktemp("files")), read_only=False)
    yield connection, lake.LakeWriter(connection, "law")
    connection.close()


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * DAY - 1),
            st.floats(1e-12, 1e12, allow_nan=False),
            st.floats(1e-12, 1e12, allow_nan=False),
            st.sampled_from([1, -1]),
            st.integers(1, 2**31 - 1),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_trades_come_back_bit_for_bit(law_lake, rows):
    connection, writer = law_lake
    name = f"binance:A{next(NAMES)}-USDT"
    ts, price, size, side, fills = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    written = TradeBatch(
        name,
        "aggregate",
        np.arange(n)[::-1].copy(),
        T + ts,
        T + ts - 5,
        price,
        size,
        side.astype(np.int8),
        fills.astype(np.int32),
        np.full(n, -1),
    )
    writer.commit(
        [written.take(slice(0, 5)).to_arrow(), written.take(slice(5, n)).to_arrow()][: 1 + (n > 5)], [], {name: 0}
    )
    assert same(lake.trades(connection, name, T, T + 3 * DAY), written.in_event_order())
