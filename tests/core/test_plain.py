"""What is pickled goes on as what was not, also where an earlier version has pickled it."""

import dataclasses
import pickle
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import candle_series, continuity
from core.candle_series import CandleSeries
from core.candles import Candle
from core.continuity import Continuity
from core.id_ranges import Hole, Range
from core.roll_up import RollUp
from core.timeframes import TIMEFRAMES
from core.trades import TradeBatch

NAME, LATENESS, T0 = "binance:BTC-USDT", 500_000, 1_736_121_600_000_000
NAMES = ("1s", "1m", "5m", "1h")
MARKET = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 40_000_000), st.integers(1, 10**6), st.booleans()),
    min_size=1,
    max_size=25,
)


def trade(number, ts, cents):
    whole, one = np.array([number]), np.ones(1)
    side, fills = np.ones(1, np.int8), np.ones(1, np.int32)
    return TradeBatch(
        NAME, "trade", whole, np.array([ts]), np.array([ts]), one * cents / 100, one, side, fills, whole
    )


def shown(formed):
    base = [
        (c.timeframe, c.start.tolist(), c.close.tolist(), c.volume.tolist(), c.complete.tolist()) for c in formed.base
    ]
    return base, formed.larger, formed.dirty


@given(MARKET)
@settings(max_examples=40, deadline=None)
def test_states_that_were_pickled_anywhere_go_on_as_they_would_have(market):
    whole = Continuity(NAME, "trade", LATENESS), CandleSeries.start(NAME, NAMES, LATENESS)
    cut, number, ts = whole, 0, T0
    for step, later, cents, pickles in market:
        number, ts = number + step, ts + later
        if pickles:
            cut = pickle.loads(pickle.dumps(cut))
        outputs = []
        for known, series in (whole, cut):
            known, continued = continuity.follow(known, trade(number, ts, cents))
            series, formed = candle_series.take(series, continued)
            outputs.append(((known, series), continued, shown(formed)))
        (whole, told, candles), (cut, told_again, candles_again) = outputs
        assert whole[0] == cut[0]
        assert (told.gaps, told.coverage) == (told_again.gaps, told_again.coverage)
        assert candles == candles_again


VALUES = [
    Range(1, 2, 3, 4),
    Hole(1, 2, 3, 4, 5, gap=(1, 2)),
    TIMEFRAMES["1w"],
    RollUp(TIMEFRAMES["5m"]),
    Candle(NAME, "1m", T0, 1.0, 2.0, 0.5, 1.5, Decimal("1.1"), Decimal("2.2"), 3, Decimal("0.1"), True, 2, 0.01),
    Continuity(NAME, "trade", LATENESS, (Range(1, 2, 3, 4),), cause="restart"),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_pickled_whole(value):
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_what_an_earlier_version_has_pickled_is_read(value):
    # As the standard library pickles frozen dataclasses with slots: an empty one, then its fields.
    again = object.__new__(type(value))
    again.__setstate__([getattr(value, field.name) for field in dataclasses.fields(value)])
    assert again == value
