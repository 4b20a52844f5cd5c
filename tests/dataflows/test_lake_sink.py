"""Twice is once: rows that come again after a crash, in other batches, are in the lake one time."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candle_fold import CandleFold, flush, fold_trades
from core.errors import IntegrityError, TransientError
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch
from dataflows.lake_sink import PARTITION, LakePartition, LakeRows, Written
from dataflows.system import opened
from storage.lake import LakeWriter

sys.path.insert(0, str(Path(__file__).parent))
from worker import settings_of

T0 = 1_736_121_600_000_000
ROWS = 40


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    with opened(settings_of(tmp_path_factory.mktemp("sink") / "data"), "test") as system:
        yield system


def history(instrument):
    """Give the whole output of a feed: trades with the offsets 0, 1, 2, … and the candles that they close."""
    n = ROWS
    ts = T0 + np.arange(n) * 700_000
    trades = TradeBatch(
        instrument,
        "trade",
        np.arange(n) + 1,
        ts,
        ts,
        np.round(100 + np.arange(n) / 10, 1),
        np.ones(n),
        np.ones(n, np.int8),
        np.ones(n, np.int32),
        np.arange(n),
    )
    fold, folded = fold_trades(CandleFold.start(instrument, TIMEFRAMES["1s"], 0), trades)
    _, rest = flush(fold, n)
    return trades, [folded.closed, rest.closed]


def rows_between(feed, trades, candles, low, high):
    """Give what the records after ``low`` up to ``high`` led to."""
    wanted = [
        batch.take(np.flatnonzero((batch.offset > low) & (batch.offset <= high))) for batch in (trades, *candles)
    ]
    return LakeRows(feed, wanted[:1], wanted[1:], high)


numbers = iter(range(10_000))


@given(st.lists(st.tuples(st.integers(0, ROWS), st.integers(1, 15), st.booleans()), min_size=1, max_size=8))
@settings(max_examples=6)
def test_rows_that_come_again_in_other_batches_are_stored_once(system, steps):
    number = next(numbers)
    feed, instrument = f"feed{number}", f"test:N{number}-USDT"
    trades, candles = history(instrument)
    partition = LakePartition(LakeWriter(system.session.cursor(), PARTITION), Written())
    reached = -1
    # Each step goes back to some earlier record, as a recovery does, hands a stretch over in batches of its own
    # size, and commits it or dies before.
    for back, size, commits in [*steps, (0, 5, True)]:
        low = min(reached, back - 1)
        partition = LakePartition(LakeWriter(system.session.cursor(), PARTITION), Written())
        for start in range(low, ROWS, size):
            partition.write_batch([rows_between(feed, trades, candles, start, min(start + size, ROWS))])
            if commits and start % 3 == 0:
                partition.snapshot()
                reached = min(start + size, ROWS)
        if commits:
            partition.snapshot()
            reached = ROWS
    stored = system.session.execute(
        "SELECT trade_id FROM lake.trades WHERE instrument = ? ORDER BY trade_id", [instrument]
    ).fetchall()
    assert stored == [(i + 1,) for i in range(ROWS)]
    closed = system.session.execute(
        "SELECT epoch_us(start) FROM lake.candles WHERE instrument = ? ORDER BY start", [instrument]
    ).fetchall()
    assert closed == [(int(s),) for batch in candles for s in batch.start]
    assert partition._writer.offsets()[feed] == ROWS


def test_a_second_writer_of_the_partition_fails_and_stores_nothing(system):
    trades, candles = history("test:TWO-USDT")
    first = LakePartition(LakeWriter(system.session.cursor(), PARTITION), Written())
    second = LakePartition(LakeWriter(system.session.cursor(), PARTITION), Written())
    rows = rows_between("two", trades, candles, -1, 10)
    first.write_batch([rows])
    second.write_batch([rows])
    first.snapshot()
    with pytest.raises((IntegrityError, TransientError)):
        second.snapshot()
    (count,) = system.session.execute(
        "SELECT count(*) FROM lake.trades WHERE instrument = 'test:TWO-USDT'"
    ).fetchone()
    assert count == 11
