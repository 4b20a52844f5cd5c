import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from exchanges.binance_symbols import QUOTE_ASSETS
from exchanges.registry import venue

SPOT, USDM = venue("binance"), venue("binance-usdm")


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("BTCFDUSD", "BTC-FDUSD"),
        ("BNBBUSD", "BNB-BUSD"),
        ("ARBTUSD", "ARB-TUSD"),
        ("TUSDUSDT", "TUSD-USDT"),
        ("TUSDT", "T-USDT"),
        ("USDCUSDT", "USDC-USDT"),
        ("1000SATSTRY", "1000SATS-TRY"),
        ("1INCHBTC", "1INCH-BTC"),
        ("BLZETH", "BLZ-ETH"),
        ("RUNEEUR", "RUNE-EUR"),
        ("ADAEUR", "ADA-EUR"),
        ("BTCEURI", "BTC-EURI"),
        ("WBETHETH", "WBETH-ETH"),
        ("USDTBRL", "USDT-BRL"),
        ("BTCJPY", "BTC-JPY"),
        ("BTTCTRX", "BTTC-TRX"),
        ("BNSOLSOL", "BNSOL-SOL"),
        ("USDTIDRT", "USDT-IDRT"),
    ],
)
def test_spot_symbols_split_at_the_quote_asset(symbol: str, name: str) -> None:
    instrument = SPOT.instrument(symbol)
    assert (instrument.name, instrument.native) == (f"binance:{name}", symbol)
    assert SPOT.native(Instrument.parse(instrument.name)) == symbol


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTCUSDT", "BTC-USDT-PERP"),
        ("ETHBTC", "ETH-BTC-PERP"),
        ("1000PEPEUSDC", "1000PEPE-USDC-PERP"),
        ("BTCUSDT_260327", "BTC-USDT-20260327"),
    ],
)
def test_futures_symbols_carry_their_expiry(symbol: str, name: str) -> None:
    assert USDM.instrument(symbol).name == f"binance:{name}"
    assert USDM.native(Instrument.parse(f"binance:{name}")) == symbol


@pytest.mark.parametrize(
    "symbol",
    ["", "BT", "USDT", "btcusdt", "BTC-USDT", "BTC/USDT", "BTCUSDT\n", "../USDT", "BTCUSDT_261327", "A" * 31],
)
def test_other_symbols_are_unknown(symbol: str) -> None:
    for market in (SPOT, USDM):
        with pytest.raises(MalformedFrame, match="unknown symbol"):
            market.instrument(symbol)


@given(st.from_regex(r"[A-Z0-9_]{3,30}", fullmatch=True), st.sampled_from([SPOT, USDM]))
def test_a_symbol_is_unknown_or_comes_back(symbol: str, market) -> None:
    try:
        instrument = market.instrument(symbol)
    except MalformedFrame:
        return
    assert market.native(Instrument.parse(instrument.name)) == symbol


@given(st.from_regex(r"[A-Z0-9]{1,10}", fullmatch=True), st.sampled_from(QUOTE_ASSETS))
def test_what_the_instrument_list_says_goes_before_the_guess(base: str, quote: str) -> None:
    symbol = base + quote
    told = Instrument("binance", "X", "Y", native=symbol)
    assert venue("binance", listed={symbol: told}).instrument(symbol) is told


def test_instruments_of_other_markets_have_no_symbol_here() -> None:
    for market, name in ((SPOT, "binance:BTC-USDT-PERP"), (USDM, "binance:BTC-USDT"), (SPOT, "okx:BTC-USDT")):
        with pytest.raises(UserError, match="not an instrument of Binance"):
            market.native(Instrument.parse(name))
