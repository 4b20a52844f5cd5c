import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from strategies.wilder import rsi_run, rsi_start, rsi_update

# Ticks of 0.01, with runs of equal prices: where averages touch zero and decisions touch levels.
prices = st.lists(st.integers(-300, 300), min_size=1, max_size=120).map(
    lambda moves: 1000.0 + np.cumsum(np.array(moves) // 100 * 0.01)
)
lengths = st.integers(2, 40)


def agree(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(prices, lengths)
def test_equals_talib_on_ticks(xs: NDArray[np.float64], length: int) -> None:
    agree(rsi_run(rsi_start(length), xs)[1], talib.RSI(xs, length))


@pytest.mark.parametrize("length", [2, 3, 14, 21, 200])
def test_equals_talib_on_long_walks(length: int) -> None:
    xs = 50_000 * np.exp(np.cumsum(np.random.default_rng(length).normal(0, 1e-3, 50_000)))
    agree(rsi_run(rsi_start(length), xs)[1], talib.RSI(xs, length))


@pytest.mark.sample
@pytest.mark.parametrize("length", [2, 14, 50])
def test_equals_talib_on_real_closes(length: int, real_closes: NDArray[np.float64]) -> None:
    assert len(real_closes) > 500
    agree(rsi_run(rsi_start(length), real_closes)[1], talib.RSI(real_closes, length))


@settings(max_examples=50, deadline=None)
@given(prices, lengths, st.data())
def test_batching_does_not_change_a_bit(xs: NDArray[np.float64], length: int, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(xs)), max_size=4)))
    whole_state, whole = rsi_run(rsi_start(length), xs)

    state, parts = rsi_start(length), []
    for part in np.split(xs, cuts):
        state, ys = rsi_run(state, part)
        parts.append(ys)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert state == whole_state

    state, singly = rsi_start(length), []
    for x in xs.tolist():
        state, y = rsi_update(state, x)
        singly.append(y)
    assert np.array(singly).tobytes() == whole.tobytes()
    assert state == whole_state


def test_a_price_that_never_moves_is_zero_and_one_that_only_rises_is_a_hundred() -> None:
    flat = rsi_run(rsi_start(14), np.full(30, 7.0))[1]
    rising = rsi_run(rsi_start(14), np.arange(30.0))[1]
    assert np.isnan(flat[:14]).all()
    assert (flat[14:] == 0).all()
    assert (rising[14:] == 100).all()


def test_update_leaves_its_state_alone() -> None:
    state, _ = rsi_update(rsi_start(2), 5.0)
    first = rsi_update(state, 6.0)
    assert rsi_update(state, 6.0)[0] == first[0]
    assert state.seen == 1
