from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges import bounds


@given(st.integers(1, 10**15 - 1), st.integers(0, 18), st.integers(0, 4), st.integers(0, 4))
def test_mantissa_and_decimals_are_the_number_itself(mantissa: int, decimals: int, before: int, after: int) -> None:
    text = f"{Decimal(mantissa).scaleb(-decimals):f}"
    padded = "0" * before + (text + "0" * after if "." in text else text)
    if Decimal(text) >= bounds.PRICE_BELOW:
        with pytest.raises(MalformedFrame, match="not below"):
            bounds.price(padded)
        return
    m, k = bounds.price(padded)
    assert Fraction(m, 10**k) == Fraction(text)
    assert float(text) == m / 10**k
    assert k == 0 or m % 10


@given(st.text(max_size=50))
def test_any_text_is_a_decimal_or_refused(text: str) -> None:
    for read in (bounds.price, bounds.size, bounds.total):
        try:
            m, k = read(text)
        except MalformedFrame:
            continue
        assert Fraction(m, 10**k) == Fraction(text)


@given(st.integers(-(10**25), 10**25))
def test_times_are_of_this_century_or_refused(value: int) -> None:
    try:
        assert bounds.EARLIEST <= bounds.micros(value) < bounds.LATEST
    except MalformedFrame:
        assert not any(bounds.EARLIEST <= v < bounds.LATEST for v in (value, value * 1000))


@pytest.mark.parametrize(("first", "last"), [(2, 1), (0, 5), (1, 2**31), (1, 2**63)])
def test_a_range_that_is_none_has_no_fills(first: int, last: int) -> None:
    with pytest.raises(MalformedFrame):
        bounds.fill_count(first, last)


def test_bounds_themselves_are_inside_or_outside_as_stated() -> None:
    assert bounds.fill_count(1, 2**31 - 1) == 2**31 - 1
    bounds.trade_value("100000000000", "1000")
    with pytest.raises(MalformedFrame, match="more than 10"):
        bounds.trade_value("100000000000", "1000.01")
    bounds.trade_value("0.000000001", "0.000000001")
    with pytest.raises(MalformedFrame, match="more than 18 decimals"):
        bounds.trade_value("0.000000001", "0.0000000001")
    assert bounds.total("99999999999999999999.000000000000000001")[1] == 18
