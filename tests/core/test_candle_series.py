"""Candles of every timeframe, and what is proven about them."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import candle_series, continuity
from core.candle_series import CandleSeries
from core.candles import EXACT, CandleBatch
from core.continuity import Continuity
from core.timeframes import HOUR, MINUTE, SECOND, TIMEFRAMES
from core.trades import TradeBatch

NAME = "binance:BTC-USDT"
# Around the end of a leap February, a month and a week.
T0 = 1_709_164_800_000_000 - 3 * HOUR
LARGER = [tf for tf in TIMEFRAMES.values() if tf.name not in ("1s", "1m")]


def batch(ids, ts, price, size):
    n = len(ids)
    return TradeBatch(
        NAME,
        "trade",
        np.asarray(ids),
        np.asarray(ts),
        np.asarray(ts),
        np.asarray(price, dtype=float),
        np.asarray(size, dtype=float),
        np.where(np.arange(n) % 3 == 0, 1, -1).astype(np.int8),
        np.ones(n, np.int32),
        np.arange(n),
    )


def walk(seed, n, span):
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(T0, T0 + span, n))
    price = np.round(100 + np.cumsum(rng.normal(0, 0.05, n)), 2)
    return batch(np.arange(n) + 1, ts, price, np.round(rng.lognormal(0, 1, n) + 0.001, 3))


def run(trades, timeframes=tuple(TIMEFRAMES), lateness=0, cuts=()):
    ids = Continuity(NAME, "trade", lateness)
    series = CandleSeries.start(NAME, timeframes, lateness)
    formed = []
    edges = [0, *sorted(cuts), len(trades)]
    for low, high in itertools.pairwise(edges):
        ids, found = continuity.follow(ids, trades.take(slice(low, high)))
        series, more = candle_series.take(series, found)
        formed.append(more)
    ids, found = continuity.end(ids)
    series, more = candle_series.take(series, found)
    formed.append(more)
    series, more = candle_series.end(series, len(trades))
    formed.append(more)
    return series, formed


def base(formed, tf):
    parts = [b for one in formed for b in one.base if b.timeframe == tf]
    return CandleBatch.concat(parts).candles() if parts else []


def directly(trades, tf, last_minute_end):
    """Fold trades into one timeframe without minutes in between, with numpy and exact decimals."""
    starts = np.array([tf.floor(int(t)) for t in trades.ts])
    exact = [EXACT.create_decimal(repr(float(s))) for s in trades.size]
    candles = {}
    for start in np.unique(starts):
        at = np.flatnonzero(starts == start)
        end = tf.end(int(start))
        volume = sum((exact[i] for i in at), EXACT.create_decimal(0))
        candles[int(start)] = (
            trades.price[at[0]],
            trades.price[at].max(),
            trades.price[at].min(),
            trades.price[at[-1]],
            volume,
            len(at),
            bool(trades.ts[0] < start and trades.ts[-1] >= end),
        )
    return {s: c for s, c in candles.items() if tf.end(s) <= last_minute_end}


@pytest.mark.parametrize("tf", LARGER, ids=str)
def test_minutes_rolled_up_equal_trades_folded_directly(tf):
    span = max(3 * (tf.micros or 24 * 24 * HOUR), 6 * HOUR)
    trades = walk(7, 1_500, span)
    _, formed = run(trades, (tf.name,))
    minutes = base(formed, "1m")
    rolled = {c.start: c for one in formed for c in one.larger}
    expected = directly(trades, tf, minutes[-1].start + MINUTE)
    quiet = {s for s, c in rolled.items() if c.trade_count == 0}
    assert rolled.keys() - quiet == expected.keys()
    for start, (open_, high, low, close, volume, count, complete) in expected.items():
        c = rolled[start]
        assert (c.open, c.high, c.low, c.close, c.volume, c.trade_count) == (open_, high, low, close, volume, count)
        # Quiet stretches of more than a day are no candles, so nothing larger over them is complete.
        assert c.complete == complete or span > 24 * HOUR


@given(st.integers(0, 2**32), st.sets(st.integers(2, 298), max_size=6), st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=40, deadline=None)
def test_complete_means_no_hole_touches_and_both_edges_are_covered(seed, dropped, cuts):
    whole = walk(seed, 300, 10 * MINUTE)
    trades = whole.take(np.array([i not in dropped for i in range(300)]))
    _, formed = run(trades, (), cuts=[min(c, len(trades)) for c in cuts])
    for tf in ("1s", "1m"):
        frame = TIMEFRAMES[tf].micros
        for candle in base(formed, tf):
            start, end = candle.start, candle.start + frame
            covered = trades.ts[0] < start and trades.ts[-1] >= end
            for i in dropped:
                before = trades.ts[trades.ids <= i][-1]
                after = trades.ts[trades.ids > i + 1][0]
                covered = covered and not (before < end and after >= start)
            assert candle.complete == covered


@given(st.integers(0, 2**32), st.lists(st.integers(0, 200), max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_batching_changes_no_candle_of_any_timeframe_and_no_dirty_minute(seed, cuts, random):
    trades = walk(seed, 200, 20 * MINUTE)
    order = sorted(range(200), key=lambda i: i + random.randrange(12))
    trades = trades.take(np.array(order))
    _, whole = run(trades, ("5m", "15m"), SECOND)
    _, pieces = run(trades, ("5m", "15m"), SECOND, cuts)
    for tf in ("1s", "1m"):
        assert base(whole, tf) == base(pieces, tf)
    assert [c for one in whole for c in one.larger] == [c for one in pieces for c in one.larger]
    assert {m for one in whole for m in one.dirty} == {m for one in pieces for m in one.dirty}


def test_a_late_trade_makes_its_minute_dirty_and_changes_no_closed_candle():
    trades = batch([1, 2, 4, 3], [T0, T0 + 1, T0 + 2 * MINUTE, T0 + 2], [10, 11, 12, 99], [1, 1, 1, 1])
    _, formed = run(trades, ())
    assert {m: r for one in formed for m, r in one.dirty.items()}[T0] == "late_trade"
    assert base(formed, "1m")[0].high == 11


def test_what_time_alone_closed_is_not_complete_until_the_next_trade_proves_it():
    ids, series = Continuity(NAME, "trade", 0), CandleSeries.start(NAME, (), 0)
    first = batch([1, 2], [T0 - MINUTE, T0 + 1], [10, 11], [1, 1])
    ids, found = continuity.follow(ids, first)
    series, _ = candle_series.take(series, found)
    series, closed = candle_series.pass_time(series, T0 + 2 * MINUTE, 5)
    minutes = base([closed], "1m")
    assert [(m.start, m.trade_count, m.complete) for m in minutes] == [(T0, 1, False), (T0 + MINUTE, 0, False)]
    proof = replace(first.take(slice(0, 1)), ids=np.array([3]), ts=np.array([T0 + 2 * MINUTE + 1]))
    ids, found = continuity.follow(ids, proof)
    series, formed = candle_series.take(series, found)
    assert formed.dirty == {T0: "proven", T0 + MINUTE: "proven"}


def test_what_fills_a_hole_proves_nothing_of_the_time_since_the_newest_trade():
    ids, series = Continuity(NAME, "trade", 0), CandleSeries.start(NAME, (), 0)
    heard = batch([1, 2, 4], [T0 - MINUTE, T0 + 1, T0 + 3], [10, 11, 12], [1, 1, 1])
    ids, found = continuity.follow(ids, heard)
    series, _ = candle_series.take(series, found)
    series, _ = candle_series.pass_time(series, T0 + 3 * MINUTE, 5)
    dirty = []
    for number, ts in ((3, T0 + 2), (5, T0 + 3 * MINUTE + 1)):
        one = replace(heard.take(slice(0, 1)), ids=np.array([number]), ts=np.array([ts]))
        ids, found = continuity.follow(ids, one)
        series, formed = candle_series.take(series, found)
        dirty.append(set(formed.dirty))
    assert dirty == [{T0}, {T0, T0 + MINUTE, T0 + 2 * MINUTE}]
