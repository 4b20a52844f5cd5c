from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import talib
from numpy.typing import NDArray

from core.candles import Candle
from strategies.rsi import Rsi

Candles = Callable[..., list[Candle]]
Row = tuple[int, str, float]


def decided(rsi: Rsi, rows: list[Candle]) -> list[Row]:
    state, out = rsi.start(), []
    for i, row in enumerate(rows):
        state, decisions = rsi.step(state, row)
        out += [(i, one.side, one.target) for one in decisions]
    return out


def expected(closes: NDArray[np.float64], length: int, low: float, high: float, sides: str) -> list[Row]:
    """The same rules over TA-Lib's whole series."""
    value = talib.RSI(closes, length)
    was, now = value[:-1], value[1:]
    out: list[Row] = []
    on = {"long": 0.0, "short": 0.0}
    for i in np.flatnonzero(((was <= low) & (now > low)) | ((was >= high) & (now < high))).tolist():
        up = was[i] <= low and now[i] > low
        for side, target in (("long", 1.0 if up else 0.0), ("short", 0.0 if up else -1.0)):
            if sides in ("both", side) and on[side] != target:
                on[side] = target
                out.append((i + 1, side, target))
    return out


@pytest.mark.parametrize("sides", ["both", "long", "short"])
@pytest.mark.parametrize(("length", "oversold", "overbought"), [(14, 30.0, 70.0), (3, 20.0, 80.0), (50, 45.5, 52.5)])
def test_decides_where_the_series_of_talib_crosses(
    candles: Candles, length: int, oversold: float, overbought: float, sides: str
) -> None:
    closes = 1000 * np.exp(np.cumsum(np.random.default_rng(length).normal(0, 1e-3, 5000)))
    rsi = Rsi({"length": length, "oversold": oversold, "overbought": overbought, "sides": sides})
    wanted = expected(closes, length, oversold, overbought, sides)
    assert len(wanted) > 20
    assert decided(rsi, candles(closes.tolist())) == wanted


@pytest.mark.sample
def test_decides_where_the_series_of_talib_crosses_on_real_closes(
    candles: Candles, real_closes: NDArray[np.float64]
) -> None:
    wanted = expected(real_closes, 14, 30.0, 70.0, "both")
    assert len(wanted) > 5
    assert decided(Rsi(), candles(real_closes.tolist())) == wanted


def test_a_reason_says_what_happened(candles: Candles) -> None:
    rsi = Rsi({"length": 2})
    state = rsi.start()
    for row in candles([10.0, 9.0, 8.0]):
        state, decisions = rsi.step(state, row)
        assert decisions == []
    _, decisions = rsi.step(state, candles([9.0])[0])
    assert [(one.side, one.target, one.reason) for one in decisions] == [
        ("long", 1.0, "RSI(2) 50.0 crossed above 30")
    ]


def test_touching_a_level_is_no_crossing_until_it_is_left(candles: Candles) -> None:
    rsi = Rsi({"length": 2, "oversold": 25, "overbought": 75})
    # Changes of 1 and 3 give exactly 25 or 75 of 100, and a candle that stays keeps it to the last bit.
    at_25, at_75 = [100.0, 101.0, 98.0], [100.0, 99.0, 102.0]
    for touched in (at_25, at_75):
        assert decided(rsi, candles([*touched, touched[-1]])) == []
    assert decided(rsi, candles([*at_25, 99.0])) == [(3, "long", 1.0)]
    assert decided(rsi, candles([*at_75, 101.0])) == [(3, "short", -1.0)]
    # Reaching a level from its far side is none either; going on past it is.
    from_0, from_100 = [100.0, 100.0, 94.0, 95.0], [100.0, 100.0, 106.0, 105.0]
    assert decided(rsi, candles(from_0)) == decided(rsi, candles(from_100)) == []
    assert decided(rsi, candles([*from_0, 97.0])) == [(4, "long", 1.0)]
    assert decided(rsi, candles([*from_100, 103.0])) == [(4, "short", -1.0)]


@pytest.mark.parametrize("length", [2, 14, 50])
def test_warmup_leaves_nothing_of_the_seed(candles: Candles, length: int) -> None:
    rsi = Rsi({"length": length})
    closes = (1000 + np.cumsum(np.random.default_rng(length).normal(size=40 * length))).tolist()
    rows = candles(closes)
    short = rsi.warm(rows[-rsi.warmup :]).memory.value
    long = rsi.warm(rows).memory.value
    assert abs(short - long) < 0.05


def test_the_first_candle_after_the_warmup_can_decide(candles: Candles) -> None:
    rsi: Any = Rsi({"length": 2})
    falling = [100.0 - i for i in range(rsi.warmup)]
    state = rsi.warm(candles(falling))
    _, decisions = rsi.step(state, candles([falling[-1] + 2])[0])
    assert [one.side for one in decisions] == ["long"]


def test_a_quiet_candle_counts_and_a_price_that_never_moved_is_oversold(candles: Candles) -> None:
    rsi = Rsi({"length": 2})
    assert decided(rsi, candles([5.0, 5.0, 5.0, 5.0, 6.0])) == [(4, "long", 1.0)]
