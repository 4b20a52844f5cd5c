import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UserError
from core.instruments import Instrument

names = st.from_regex(r"[a-z][a-z0-9]{1,19}:[A-Z0-9]{1,20}-[A-Z0-9]{1,12}(-(PERP|[0-9]{8}))?", fullmatch=True)


@given(names)
def test_a_name_that_is_read_is_written_back(name: str) -> None:
    instrument = Instrument.parse(name)
    assert instrument.name == str(instrument) == name
    assert pickle.loads(pickle.dumps(instrument)) == instrument


@given(st.text(max_size=60))
def test_any_text_is_a_name_or_a_clear_refusal(text: str) -> None:
    try:
        said = Instrument.parse(text).name
    except UserError as error:
        said = str(error)
    assert said == text or ("venue:BASE-QUOTE" in said and "\n" not in said)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("binance:BTC-USDT", ("binance", "BTC", "USDT", "")),
        ("binance:1000SATS-FDUSD-PERP", ("binance", "1000SATS", "FDUSD", "PERP")),
        ("binance:BTC-USDT-20260327", ("binance", "BTC", "USDT", "20260327")),
        ("okx2:A-B", ("okx2", "A", "B", "")),
    ],
)
def test_the_parts(name: str, expected: tuple[str, str, str, str]) -> None:
    parsed = Instrument.parse(name)
    assert (parsed.venue, parsed.base, parsed.quote, parsed.expiry) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "BTC-USDT",
        "binance:btc-usdt",
        "Binance:BTC-USDT",
        "binance:BTCUSDT",
        "binance:BTC-USDT-2026",
        "binance:BTC-USDT-PERP-PERP",
        "binance:../../etc-passwd",
        "binance:BTC-USDT\n",
        " binance:BTC-USDT",
        "binance:BTC-USDT'; DROP TABLE trades; --",
        "binance:BTC-USDT-２０２６０３２７",
        "binance:" + "A" * 21 + "-USDT",
    ],
)
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="is no instrument name"):
        Instrument.parse(name)


def test_a_refusal_does_not_repeat_endless_input() -> None:
    with pytest.raises(UserError) as caught:
        Instrument.parse("x" * 100_000)
    assert len(str(caught.value)) < 300
