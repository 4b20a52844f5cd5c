import re
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from exchanges import ccxt_answers, ccxt_symbols

assets = st.from_regex(r"[A-Z0-9]{1,12}", fullmatch=True)
days = st.dates(date(2001, 1, 1), date(2099, 12, 31))
settled = st.sampled_from(["", "base", "quote"])


@given(assets, assets, settled, st.none() | days)
def test_a_name_and_its_symbol_say_the_same(base, quote, settle, day):
    symbol = f"{base}/{quote}"
    expiry = ""
    if settle:
        symbol += ":" + (base if settle == "base" else quote)
        expiry = "PERP"
        if day:
            symbol, expiry = f"{symbol}-{day:%y%m%d}", f"{day:%Y%m%d}"
    one = ccxt_symbols.instrument("kraken", symbol)
    assert Instrument.parse(one.name).name == one.name == f"kraken:{base}-{quote}" + (expiry and f"-{expiry}")
    assert ccxt_symbols.symbol_of("kraken", one) == symbol
    # Without a list, of the same market at least, if not paid in the same asset.
    likely = ccxt_symbols.symbol_of("kraken", Instrument.parse(one.name))
    assert ccxt_symbols.instrument("kraken", likely).name == one.name
    assert one.size_unit == ("contracts" if settle else "base")


@given(st.text(max_size=40))
def test_any_text_is_named_or_refused(text):
    try:
        one = ccxt_symbols.instrument("gate", text)
    except MalformedFrame:
        return
    assert one.native == text
    assert re.fullmatch(r"gate:[A-Z0-9]+-[A-Z0-9]+(-PERP|-\d{8})?", one.name)


@pytest.mark.parametrize(
    "symbol",
    ["BTC/USD:BTC-260327-100000-C", "kPEPE/USDC:USDC", "BTC", "BTC/USD:BTC-261301", "BTC/USD-260327", "../x/USD", ""],
)
def test_what_cannot_be_named_is_refused(symbol):
    with pytest.raises(MalformedFrame):
        ccxt_symbols.instrument("deribit", symbol)


def test_the_likeliest_symbol_of_a_contract():
    likely = {
        "okx:BTC-USDT": "BTC/USDT",
        "okx:BTC-USDT-PERP": "BTC/USDT:USDT",
        "okx:BTC-USD-PERP": "BTC/USD:BTC",
        "okx:BTC-USD-20260327": "BTC/USD:BTC-260327",
    }
    assert {name: ccxt_symbols.symbol_of("okx", Instrument.parse(name)) for name in likely} == likely
    with pytest.raises(UserError, match="begin with okx:"):
        ccxt_symbols.symbol_of("okx", Instrument.parse("bybit:BTC-USDT"))


def test_an_exchange_with_a_long_name_has_a_prefix_that_instruments_may_have():
    one = ccxt_symbols.instrument("coinbaseinternational", "BTC/USDC:USDC")
    assert Instrument.parse(one.name).venue == "coinbaseinternationa"


def listing(*rows):
    return msgspec.json.encode(
        {"markets": [dict(zip(("symbol", "tick", "lot", "size"), row, strict=True)) for row in rows]}
    )


def test_of_contracts_with_one_name_the_linear_one_has_it():
    told = listing(
        ("BTC/USD:BTC", "0.5", "1", "1"),
        ("BTC/USD:ETH", "0.5", "1", "1"),
        ("BTC/USD:USD", "1", "0.0001", "1"),
        ("BTC/USD", "0.1", "0.00000001", "7"),
        ("ETH/USD:ETH", "0.05", "1", "10"),
        ("ETH/USD:BTC", "0.05", "1", "1"),
        ("BTC/USD:BTC-260327-100000-C", "", "", ""),
    )
    found = {one.name: one for one in ccxt_answers.read_markets("krakenfutures", told)}
    assert {name.partition(":")[2]: one.native for name, one in found.items()} == {
        "BTC-USD": "BTC/USD",
        "BTC-USD-PERP": "BTC/USD:USD",
        "ETH-USD-PERP": "ETH/USD:ETH",
    }
    ether, spot = found["krakenfutures:ETH-USD-PERP"], found["krakenfutures:BTC-USD"]
    assert (ether.tick, ether.lot, ether.multiplier) == (Decimal("0.05"), 1, 10)
    # A lot of coins is no contract, whatever ccxt calls its size.
    assert (spot.lot, spot.multiplier, spot.size_unit) == (Decimal("1E-8"), 1, "base")


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"markets":[{}]}', b'{"markets":[1]}', b"[" * 5000])
def test_a_list_that_is_none_is_refused(payload):
    with pytest.raises(MalformedFrame):
        ccxt_answers.read_markets("kraken", payload)
