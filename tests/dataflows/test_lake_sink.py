"""Twice is once: rows that come again after a crash, in other batches, are in the lake one time."""

import pickle
import sys
from concurrent.futures import Executor, Future
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candle_fold import CandleFold, flush, fold_trades
from core.errors import IntegrityError, TransientError
from core.klines import ClosedKline, KlineBatch
from core.quotes import QuoteBatch
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch
from dataflows.lake_sink import EPOCHS, PARTITION, LakePartition, LakeRows, LakeSink, Pending, Written
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
    """Give the whole output of a feed: trades with the offsets 0, 1, 2, … and what they let go.

    That are the candles that they close, quotes, and candles of the venue.
    """
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
    one = np.ones(n)
    numbers = np.arange(n)
    quotes = QuoteBatch((instrument,), np.zeros(n, np.int32), ts, ts, numbers, numbers + 1, one, one, one, one)
    kept = slice(None, None, 5)
    klines = KlineBatch(
        tuple(
            ClosedKline(instrument, "1m", t, t, 1.0, 1.0, 1.0, 1.0, Decimal(1), None, None, None) for t in ts[kept]
        ),
        numbers[kept],
    )
    return trades, [folded.closed, rest.closed, quotes, klines]


def rows_between(feed, trades, candles, low, high):
    """Give what the records after ``low`` up to ``high`` led to."""
    wanted = [
        batch.take(np.flatnonzero((batch.offset > low) & (batch.offset <= high))) for batch in (trades, *candles)
    ]
    return LakeRows(feed, wanted[:1], wanted[1:-2], high, wanted[-2:])


def assert_stored_once(system, instrument, trades, candles):
    """Assert that the lake holds of an instrument each row of its whole history, and no other."""
    *closed, quotes, klines = candles
    for table, number, wanted in (
        ("trades", "trade_id", trades.ids.tolist()),
        ("candles", "epoch_us(start)", [int(start) for batch in closed for start in batch.start]),
        ("quotes", "id", quotes.ids.tolist()),
        ("venue_candles", "epoch_us(start)", [row.start for row in klines.rows]),
    ):
        query = f"SELECT {number} FROM lake.{table} WHERE instrument = ? ORDER BY 1"
        assert system.session.execute(query, [instrument]).fetchall() == [(one,) for one in wanted], table


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
    assert_stored_once(system, instrument, trades, candles)
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


class Beside(Executor):
    """Run what was submitted when it is waited for, or when the test says so: as late, or as early, as can be."""

    def __init__(self):
        self.waiting = None

    def submit(self, run, *args):
        self.waiting = Delayed(run, args)
        return self.waiting


class Delayed(Future):
    def __init__(self, run, args):
        super().__init__()
        self.work = run, args

    def result(self, timeout=None):
        if not self.done():
            run, args = self.work
            self.set_result(run(*args))
        return super().result(timeout)


crashes = st.lists(
    st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=6
)


@given(crashes)
@settings(max_examples=8, deadline=None)
def test_epochs_that_were_pending_when_it_crashed_are_stored_once(system, crashes):
    number = next(numbers)
    feed, instrument = f"pending{number}", f"test:P{number}-USDT"
    trades, candles = history(instrument)
    # What the recovery store may know: the position and the sink's state at the end of each epoch.
    store = [(-1, None)]
    for epochs, finished, forgotten, size in [*crashes, (2 * ROWS, True, 0, 3)]:
        # A crash may cost the newest snapshots, as long as Bytewax has not told the source so.
        del store[max(1, len(store) - forgotten) :]
        reached, state = store[-1]
        beside = Beside()
        sink = LakeSink(lambda: LakeWriter(system.session.cursor(), PARTITION), Written(), beside)
        partition = sink.build_part("lake", PARTITION, pickle.loads(pickle.dumps(state)))
        for _ in range(epochs):
            if reached < ROWS:
                partition.write_batch([rows_between(feed, trades, candles, reached, min(reached + size, ROWS))])
                reached = min(reached + size, ROWS)
            store.append((reached, partition.snapshot()))
        if finished and beside.waiting is not None:
            beside.waiting.result()
    # Peace at last: what is still pending is committed by whoever comes next.
    last = LakeSink(lambda: LakeWriter(system.session.cursor(), PARTITION), Written())
    last.build_part("lake", PARTITION, store[-1][1]).snapshot()
    assert_stored_once(system, instrument, trades, candles)


def test_small_epochs_are_committed_together_and_a_failed_commit_fails_a_later_epoch(system):
    trades, candles = history("test:FEW-USDT")
    written, beside = Written(), Beside()
    partition = LakePartition(LakeWriter(system.session.cursor(), PARTITION), written, beside)
    for epoch in range(EPOCHS):
        partition.write_batch([rows_between("few", trades, candles, epoch - 1, epoch)])
        pending = partition.snapshot()
        assert [rows.reached for rows in pending.rows] == list(range(epoch + 1))
    beside.waiting.result()
    assert written.commits == 1
    assert partition.snapshot() is None
    rival = LakePartition(LakeWriter(system.session.cursor(), PARTITION), Written())
    rival.write_batch([rows_between("few", trades, candles, EPOCHS, EPOCHS + 1)])
    rival.snapshot()
    for epoch in range(EPOCHS):
        partition.write_batch([rows_between("few", trades, candles, 10 + epoch, 11 + epoch)])
        partition.snapshot()
    with pytest.raises((IntegrityError, TransientError)):
        beside.waiting.result()
    partition._underway.set_exception(TransientError("as the thread would have told"))
    with pytest.raises(TransientError):
        partition.snapshot()


def test_what_an_earlier_version_has_left_pending_is_committed(system):
    trades, candles = history("test:OLD-USDT")
    rows = rows_between("old", trades, candles, -1, 10)
    # Rows that were pickled before there was anything told beside them come back without that field.
    old = object.__new__(LakeRows)
    for name in ("feed", "trades", "candles", "reached"):
        object.__setattr__(old, name, getattr(rows, name))
    LakeSink(lambda: LakeWriter(system.session.cursor(), PARTITION), Written()).build_part(
        "lake", PARTITION, Pending([old])
    )
    query = "SELECT count(*) FROM lake.trades WHERE instrument = 'test:OLD-USDT'"
    assert system.session.execute(query).fetchone() == (11,)
    assert LakeWriter(system.session.cursor(), PARTITION).offsets()["old"] == 10
