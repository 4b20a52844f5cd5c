import itertools
from collections import defaultdict
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candle_fold import CandleFold, flush, fold_trades
from core.candles import EXACT, Candle, CandleBatch
from core.errors import IntegrityError
from core.exact import to_integers
from core.timeframes import DAY, HOUR, MINUTE, SECOND, TIMEFRAMES
from core.trades import TradeBatch

T0 = 1_723_161_240_000_000
NAME = "binance:BTC-USDT"


def batch(rows):
    ids, ts, price, size, side, fills = zip(*rows, strict=True)
    n = len(rows)
    return TradeBatch(
        NAME,
        "trade",
        np.array(ids),
        np.array(ts),
        np.array(ts),
        np.array(price, dtype=float),
        np.array(size, dtype=float),
        np.array(side, dtype=np.int8),
        np.array(fills, dtype=np.int32),
        np.arange(n),
    )


def fold_all(trades, tf="1s", lateness=0, cuts=()):
    state = CandleFold.start(NAME, TIMEFRAMES[tf], lateness)
    closed, late = [], []
    edges = [0, *sorted(cuts), len(trades)]
    for low, high in itertools.pairwise(edges):
        state, folded = fold_trades(state, trades.take(slice(low, high)))
        closed.append(folded.closed)
        late += (folded.late + low).tolist()
    state, folded = flush(state, len(trades))
    closed.append(folded.closed)
    return CandleBatch.concat(closed).candles(), late


def by_decimals(rows, micros):
    """An independent fold: Decimal sums, one candle a start, no notion of lateness."""
    with localcontext(EXACT):
        return _by_decimals(rows, micros)


def _by_decimals(rows, micros):
    groups = defaultdict(list)
    for row in rows:
        groups[row[1] // micros * micros].append(row)
    candles, close = [], None
    for start in range(min(groups), max(groups) + micros, micros):
        got = sorted(groups.get(start, ()), key=lambda r: (r[1], r[0]))
        if not got:
            candles.append((start, close, close, close, close, Decimal(0), Decimal(0), 0, Decimal(0)))
            continue
        prices = [r[2] for r in got]
        sizes = [Decimal(repr(r[3])) for r in got]
        close = prices[-1]
        quote = sum((Decimal(repr(p)) * s for p, s in zip(prices, sizes, strict=True)), Decimal(0))
        buy = sum((s for s, r in zip(sizes, got, strict=True) if r[4] > 0), Decimal(0))
        count = sum(r[5] for r in got)
        candles.append((start, prices[0], max(prices), min(prices), close, sum(sizes, Decimal(0)), quote, count, buy))
    return candles


def plain(candle: Candle):
    return (
        candle.start,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.quote_volume,
        candle.trade_count,
        candle.taker_buy_volume,
    )


def decimal(most_digits, most_places):
    def value(mantissa_places):
        mantissa, places = mantissa_places
        return float(Decimal(mantissa).scaleb(-places))

    return st.tuples(st.integers(1, 10**most_digits - 1), st.integers(0, most_places)).map(value)


ROWS = st.lists(
    st.tuples(
        st.integers(0, 8 * SECOND),
        st.one_of(decimal(9, 8), decimal(13, 9)),
        st.one_of(decimal(8, 8), decimal(13, 9)),
        st.sampled_from((-1, 1)),
        st.integers(1, 5),
    ).filter(lambda row: row[1] * row[2] <= 1e14),
    min_size=1,
    max_size=60,
)


def numbered(rows):
    ordered = sorted(rows, key=lambda r: r[0])
    return [(100 + i, T0 + r[0], *r[1:]) for i, r in enumerate(ordered)]


@given(ROWS)
@settings(max_examples=60, deadline=None)
def test_sums_and_prices_equal_an_exact_fold_in_decimals(rows):
    rows = numbered(rows)
    candles, late = fold_all(batch(rows))
    assert not late
    assert [plain(c) for c in candles] == by_decimals(rows, SECOND)


@given(ROWS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_arrival_order_inside_the_lateness_does_not_matter(rows, random):
    lateness = 700_000
    rows = numbered(rows)
    # Delays below the lateness are all the reordering that it promises to undo.
    delayed = sorted(rows, key=lambda r: r[1] + random.randrange(lateness))
    candles, late = fold_all(batch(delayed), lateness=lateness)
    assert not late
    assert [plain(c) for c in candles] == by_decimals(rows, SECOND)


@given(st.randoms(use_true_random=False), st.integers(0, 40))
@settings(max_examples=30, deadline=None)
def test_open_and_close_of_a_moment_are_first_and_last_of_an_order_also_where_ids_say_nothing(random, cut):
    sweeps = [(T0, 1, [10, 11, 12]), (T0 + 500_000, -1, [12, 12, 11, 9]), (T0 + 500_001, 1, [10, 13])]
    rows = [(-random.randrange(1, 2**62), ts, price, 1, side, 1) for ts, side, prices in sweeps for price in prices]
    random.shuffle(rows)
    ((candle,), late) = fold_all(batch(rows), lateness=600_000, cuts=[min(cut, len(rows))])
    assert not late
    assert (candle.open, candle.close) == (10, 13)
    ((candle,), _) = fold_all(batch([row for row in rows if row[1] == T0 + 500_000]))
    assert (candle.open, candle.close) == (12, 9)


@given(ROWS, st.randoms(use_true_random=False), st.data())
@settings(max_examples=60, deadline=None)
def test_batching_changes_nothing_even_for_late_trades(rows, random, data):
    rows = numbered(rows)
    random.shuffle(rows)
    trades = batch(rows)
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=8))
    whole, late = fold_all(trades, lateness=200_000)
    pieces, late_in_pieces = fold_all(trades, lateness=200_000, cuts=cuts)
    assert whole == pieces
    assert late == late_in_pieces


def test_a_late_trade_is_named_and_leaves_closed_candles_alone():
    rows = [(1, T0, 10.0, 1.0, 1, 1), (2, T0 + 3 * SECOND, 11.0, 1.0, 1, 1), (0, T0 + 1, 99.0, 9.0, 1, 1)]
    candles, late = fold_all(batch(rows), lateness=SECOND)
    assert late == [2]
    assert plain(candles[0])[1:5] == (10.0, 10.0, 10.0, 10.0)


def test_a_candle_closes_when_the_watermark_passes_its_end_and_not_before():
    state = CandleFold.start(NAME, TIMEFRAMES["1s"], 500_000)
    state, folded = fold_trades(state, batch([(1, T0, 10.0, 1.0, 1, 1), (2, T0 + 1_499_999, 11.0, 1.0, 1, 1)]))
    assert len(folded.closed) == 0
    state, folded = fold_trades(state, batch([(3, T0 + 1_500_000, 12.0, 1.0, 1, 1)]))
    assert folded.closed.start.tolist() == [T0]
    assert folded.closed.offset.tolist() == [0]


def test_time_alone_closes_candles_and_fills_the_quiet_with_flat_ones():
    state = CandleFold.start(NAME, TIMEFRAMES["1s"], 0)
    state, _ = fold_trades(state, batch([(1, T0, 10.0, 1.0, 1, 1)]))
    state, folded = fold_trades(state, None, T0 + 3 * SECOND, offset=77)
    assert [(c.open, c.close, c.trade_count) for c in folded.closed.candles()] == [(10.0, 10.0, n) for n in (1, 0, 0)]
    assert folded.closed.offset.tolist() == [77, 77, 77]


@pytest.mark.parametrize(("tf", "longest"), [("1s", HOUR), ("1m", DAY)])
def test_an_outage_longer_than_the_bound_is_not_filled(tf, longest):
    frame = TIMEFRAMES[tf].micros
    for silence, filled in ((longest, longest // frame), (longest + frame, 0)):
        rows = [(1, T0, 10.0, 1.0, 1, 1), (2, T0 + frame + silence, 11.0, 1.0, 1, 1)]
        candles, _ = fold_all(batch(rows), tf=tf)
        assert len(candles) == 2 + filled


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_the_state_is_a_value_that_a_call_does_not_change(rows):
    trades = batch(numbered(rows))
    first, _ = fold_trades(CandleFold.start(NAME, TIMEFRAMES["1m"], 0), trades)
    before = (first.cursor.copy(), first.slots.copy(), first.prices.copy(), first.sums.copy())
    fold_trades(first, trades, T0 + HOUR)
    after = (first.cursor, first.slots, first.prices, first.sums)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@given(st.floats(allow_nan=True, allow_infinity=True))
@settings(max_examples=300, deadline=None)
def test_only_decimals_of_fifteen_digits_become_integers(value):
    text = repr(value)
    exact = value >= 0 and text not in ("inf", "nan") and Decimal(text)
    digits = len(exact.normalize().as_tuple().digits) if exact else 0
    places = max(0, -exact.normalize().as_tuple().exponent) if exact else 0
    valid = exact is not False and digits <= 15 and places <= 18 and value <= 1e15
    try:
        whole, scale = to_integers(np.array([value]))
    except IntegrityError:
        assert not valid
    else:
        assert Decimal(int(whole[0])).scaleb(-int(scale[0])) == Decimal(text)


def test_a_minute_of_many_wide_products_does_not_overflow():
    rows = [(i, T0 + i, 99999999.9, 999999.9999999, 1, 1) for i in range(5_000)]
    candles, _ = fold_all(batch(rows), tf="1m")
    assert [plain(c) for c in candles] == by_decimals(rows, MINUTE)
