import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.registry import venue

DERIBIT = venue("deribit")
CHANNELS = ["trade", "quote", "mark_price", "kline_1m", "kline_12h", "kline_1d"]


@pytest.mark.parametrize(
    ("symbol", "name", "unit"),
    [
        ("BTC-PERPETUAL", "deribit:BTC-USD-PERP", "quote"),
        ("SOL_USDC-PERPETUAL", "deribit:SOL-USDC-PERP", "base"),
        ("BTC-27MAR26", "deribit:BTC-USD-20260327", "quote"),
        ("ETH-7NOV26", "deribit:ETH-USD-20261107", "quote"),
        ("BTC_USDC-29FEB28", "deribit:BTC-USDC-20280229", "base"),
        ("BTCDVOL_USDC-31DEC25", "deribit:BTCDVOL-USDC-20251231", "base"),
        ("BTC_USDC", "deribit:BTC-USDC", "base"),
        ("1000PEPE_USDC-PERPETUAL", "deribit:1000PEPE-USDC-PERP", "base"),
    ],
)
def test_names_are_translated_both_ways(symbol: str, name: str, unit: str) -> None:
    instrument = DERIBIT.instrument(symbol)
    assert (instrument.name, instrument.native, instrument.size_unit) == (name, symbol, unit)
    assert DERIBIT.native(Instrument.parse(name)) == symbol


@given(
    st.text("ABCXYZ019", min_size=1, max_size=20),
    st.sampled_from(["USD", "USDC", "USDT", "EURR", "BTC"]),
    st.one_of(st.sampled_from(["", "PERP"]), st.dates().map(lambda day: f"20{day:%y%m%d}")),
)
def test_every_name_of_ours_comes_back(base: str, quote: str, expiry: str) -> None:
    instrument = Instrument("deribit", base, quote, expiry)
    try:
        symbol = DERIBIT.native(instrument)
    except UserError as refused:
        assert "is no date" in str(refused)  # noqa: PT017 - 29 February of a year that has none
        return
    assert DERIBIT.instrument(symbol).name == instrument.name


@pytest.mark.parametrize(
    "symbol",
    [
        *("BTC", "BTC_USD-PERPETUAL", "BTC_USD-27MAR26", "BTC-30FEB26", "BTC-27MAI26", "BTC-027MAR26", "BTC-0MAR26"),
        *("btc-perpetual", "BTC-PERPETUAL ", "BTC-FS-27MAR26_PERP", "BTC-FS-25SEP26_27MAR26", "BTC--PERPETUAL"),
        *("", "A" * 21 + "_USDC", "BTC_" + "U" * 13, "../BTC", "BTC-٢٧MAR26"),
    ],
)
def test_other_names_are_refused(symbol: str) -> None:
    with pytest.raises(MalformedFrame, match="unknown symbol"):
        DERIBIT.instrument(symbol)


@pytest.mark.parametrize("symbol", ["BTC-27MAR26-100000-C", "ETH-7NOV26-4000-P", "XRP_USDC-30JUN23-0d625-C"])
def test_options_are_not_covered(symbol: str) -> None:
    with pytest.raises(MalformedFrame, match="options are not covered"):
        DERIBIT.instrument(symbol)


@pytest.mark.parametrize("name", ["binance:BTC-USDT", "deribit:BTC-USD-20260230", "deribit:BTC-USD-19990101"])
def test_what_deribit_cannot_have_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        DERIBIT.native(Instrument.parse(name))


def test_the_venues_own_list_goes_before_what_a_name_suggests() -> None:
    listed = Instrument("deribit", "BTC", "USD", "PERP", native="BTC-PERPETUAL", multiplier=10, size_unit="quote")
    assert venue("deribit", listed={"BTC-PERPETUAL": listed}).instrument("BTC-PERPETUAL") is listed


@given(st.integers(0, 1500), st.sets(st.sampled_from(CHANNELS), max_size=3))
def test_every_stream_is_asked_for_once_within_the_limits(count: int, channels: set[str]) -> None:
    instruments = [Instrument("deribit", f"A{k}", "USDC", "PERP") for k in range(count)]
    connections = DERIBIT.subscriptions(instruments, sorted(channels))
    streams = [stream for connection in connections for stream in connection.streams]
    assert len(streams) == len(set(streams)) == count * len(channels)
    assert set(streams) == {DERIBIT.stream(one, channel) for one in instruments for channel in channels}
    for connection in connections:
        requests = [msgspec.json.decode(message) for message in connection.messages]
        assert 0 < len(connection.streams) <= DERIBIT.limits.streams
        assert [s for request in requests for s in request["params"]["channels"]] == list(connection.streams)
        assert [request["id"] for request in requests] == list(range(1, len(requests) + 1))
        assert {request["method"] for request in requests} == {"public/subscribe"}


def test_a_message_of_the_longest_names_is_less_than_32_kb() -> None:
    longest = Instrument("deribit", "A" * 20, "U" * 12, "PERP")
    streams = [DERIBIT.stream(longest, channel) for channel in CHANNELS]
    most = [max(streams, key=len)] * DERIBIT.limits.streams
    assert all(len(text) < 32_000 for text in DERIBIT.requests("UNSUBSCRIBE", most))


def test_streams_have_deribits_names() -> None:
    perpetual = Instrument.parse("deribit:BTC-USD-PERP")
    (connection,) = DERIBIT.subscriptions([perpetual], CHANNELS)
    assert connection.url == "wss://www.deribit.com/ws/api/v2"
    assert connection.streams == (
        "trades.BTC-PERPETUAL.100ms",
        "quote.BTC-PERPETUAL",
        "ticker.BTC-PERPETUAL.100ms",
        "chart.trades.BTC-PERPETUAL.1",
        "chart.trades.BTC-PERPETUAL.720",
        "chart.trades.BTC-PERPETUAL.1D",
    )
    assert DERIBIT.requests("UNSUBSCRIBE", ["quote.BTC-PERPETUAL"]) == (
        '{"jsonrpc":"2.0","id":1,"method":"public/unsubscribe","params":{"channels":["quote.BTC-PERPETUAL"]}}',
    )


@pytest.mark.parametrize("channel", ["aggregate", "trades", "kline_1s", "kline_4h", "kline_1w"])
def test_channels_that_are_not_there_are_refused(channel: str) -> None:
    with pytest.raises(UnknownName):
        DERIBIT.subscriptions([], [channel])
    assert DERIBIT.id_space(channel) is None
    assert DERIBIT.id_space("trade") == "trade"
