"""Folding stored trades: however they are cut into batches, the same candles as in one piece."""

import threading
from itertools import count, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candle_fold import CandleFold, flush, fold_trades
from core.candles import CandleBatch
from core.errors import IntegrityError
from core.timeframes import MINUTE, TIMEFRAMES
from core.trades import TradeBatch
from dataflows.read_ahead import read_ahead
from dataflows.refold import COLUMNS, fold_stored

T0 = 1_736_121_600_000_000
NAME = "binance:BTC-USDT"


def stored(rows) -> TradeBatch:
    n = len(rows)
    seconds, ticks, lots = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    ts = T0 + seconds * 1_000_000
    return TradeBatch(
        NAME,
        "trade",
        np.arange(n),
        ts,
        ts,
        ticks / 100.0,
        lots / 100_000.0,
        np.where(lots % 2, 1, -1).astype(np.int8),
        np.ones(n, np.int32),
        np.full(n, -1),
    )


def start(frame="1m"):
    return CandleFold.start(NAME, TIMEFRAMES[frame], 0)


def cut(trades, edges):
    table = pa.Table.from_batches([trades.to_arrow()]).select([*COLUMNS])
    edges = [0, *sorted(edges), len(trades)]
    for low, high in pairwise(edges):
        yield from table.slice(low, high - low).to_batches()


def candles(batches):
    return [candle for batch in batches for candle in batch.candles()]


ROWS = st.lists(
    st.tuples(st.integers(0, 300), st.integers(1, 10**8), st.integers(1, 10**8)), min_size=1, max_size=80
).map(sorted)


@given(ROWS, st.data())
@settings(max_examples=40, deadline=None)
def test_how_trades_are_cut_does_not_matter(rows, data):
    trades = stored(rows)
    edges = data.draw(st.lists(st.integers(1, len(rows)), unique=True, max_size=5).map(sorted))
    edges = [edge for edge in edges if edge < len(rows)]
    state, folded = fold_trades(start("1s"), trades)
    whole = CandleBatch.concat([folded.closed, flush(state)[1].closed])
    assert candles(fold_stored(start("1s"), cut(trades, edges))) == whole.candles()


def test_time_passes_to_the_end_of_the_range():
    found = candles(fold_stored(start(), cut(stored([(5, 100, 1)]), []), until=T0 + 3 * MINUTE))
    assert [(one.start, one.trade_count) for one in found] == [(T0, 1), (T0 + MINUTE, 0), (T0 + 2 * MINUTE, 0)]


def test_rows_out_of_order_are_refused():
    with pytest.raises(IntegrityError, match="out of order at id 2"):
        list(fold_stored(start(), cut(stored([(5, 100, 1), (130, 100, 1), (6, 100, 1)]), [1])))


def test_what_fetching_raises_comes_behind_the_items_before_it():
    def items():
        yield from (1, 2, 3)
        raise IntegrityError("a damaged file")

    fetched = read_ahead(items())
    assert [next(fetched), next(fetched), next(fetched)] == [1, 2, 3]
    with pytest.raises(IntegrityError, match="a damaged file"):
        next(fetched)


def test_an_iteration_given_up_ends_its_thread():
    items = read_ahead(count(), depth=1)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
