import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.messages import Ack
from exchanges.registry import venue

OKX = venue("okx")
SPOT, SWAP, DATED = (Instrument.parse(f"okx:{name}") for name in ("BTC-USDT", "BTC-USDT-PERP", "BTC-USD-20260327"))

names = st.builds(
    Instrument,
    st.just("okx"),
    st.text("ABCXYZ019", min_size=1, max_size=10),
    st.sampled_from(["USDT", "USD", "USDC", "BTC"]),
    st.sampled_from(["", "PERP", "20260327", "20251226"]),
)
channels = st.sampled_from(["trade", "aggregate", "quote", "mark_price", "kline_1m", "kline_1d"])


def args(messages: tuple[str, ...]) -> list[dict[str, str]]:
    return [arg for text in messages for arg in msgspec.json.decode(text)["args"]]


@given(st.lists(names, max_size=12), st.lists(channels, max_size=4))
@settings(max_examples=50, deadline=None)
def test_the_messages_ask_for_the_streams_and_their_acks_name_them(instruments, chosen) -> None:
    wanted = {
        OKX.stream(one, channel) for one in instruments for channel in chosen if one.expiry or channel != "mark_price"
    }
    carried: list[str] = []
    for connection in OKX.subscriptions(instruments, chosen):
        assert len(connection.streams) <= OKX.limits.streams
        acked = []
        for arg in args(connection.messages):
            answer = {"event": "subscribe", "arg": arg, "connId": "a4d3ae55"}
            for message in OKX.parse(msgspec.json.encode(answer), 5):
                assert isinstance(message, Ack)
                acked += message.streams or ()
        assert tuple(acked) == connection.streams
        carried += connection.streams
    assert set(carried) == wanted
    assert len(carried) == len(wanted)


@given(names)
@settings(max_examples=50, deadline=None)
def test_a_symbol_names_the_instrument_that_it_came_from(instrument: Instrument) -> None:
    assert OKX.instrument(OKX.native(instrument)).name == instrument.name


def test_fills_and_candles_go_to_one_address_and_the_rest_to_the_other() -> None:
    found = OKX.subscriptions([SPOT, DATED], ["trade", "kline_1d", "quote", "aggregate"])
    assert {connection.url: connection.streams for connection in found} == {
        "wss://ws.okx.com:8443/ws/v5/business": (
            "trades-all:BTC-USDT",
            "trades-all:BTC-USD-260327",
            "candle1Dutc:BTC-USDT",
            "candle1Dutc:BTC-USD-260327",
        ),
        "wss://ws.okx.com:8443/ws/v5/public": (
            "bbo-tbt:BTC-USDT",
            "bbo-tbt:BTC-USD-260327",
            "trades:BTC-USDT",
            "trades:BTC-USD-260327",
        ),
    }


def test_a_mark_price_is_three_channels_of_a_swap_one_of_a_future_and_none_of_spot() -> None:
    (connection,) = OKX.subscriptions([SPOT, SWAP, DATED], ["mark_price"])
    assert connection.streams == ("mark-price:BTC-USDT-SWAP", "mark-price:BTC-USD-260327")
    assert args(connection.messages) == [
        {"channel": "mark-price", "instId": "BTC-USDT-SWAP"},
        {"channel": "funding-rate", "instId": "BTC-USDT-SWAP"},
        {"channel": "index-tickers", "instId": "BTC-USDT"},
        {"channel": "mark-price", "instId": "BTC-USD-260327"},
    ]
    assert OKX.subscriptions([SPOT], ["mark_price"]) == []


def test_messages_stay_within_the_limits() -> None:
    many = [Instrument("okx", f"VERYLONGASSET{k}", "USDT", "PERP") for k in range(500)]
    found = OKX.subscriptions(many, ["mark_price"])
    assert [len(connection.streams) for connection in found] == [200, 200, 100]
    texts = [text for connection in found for text in connection.messages]
    assert len(texts) == 10
    assert max(len(text) for text in texts) < 64 * 1024
    assert OKX.requests("UNSUBSCRIBE", ["trades:BTC-USDT"]) == (
        '{"id":"1","op":"unsubscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}',
    )
    assert OKX.requests("SUBSCRIBE", []) == ()


def test_limits_and_heartbeat_are_those_of_the_documentation() -> None:
    assert (OKX.limits.messages, OKX.limits.messages_per, OKX.limits.attempts, OKX.limits.attempts_per) == (
        480,
        3600,
        3,
        1,
    )
    assert (OKX.heartbeat.by, OKX.heartbeat.payload) == ("client", "ping")
    assert OKX.heartbeat.interval < 30
    assert [OKX.id_space(channel) for channel in ("trade", "aggregate", "quote")] == ["trade", "merged", None]


@pytest.mark.parametrize("channel", ["depth", "kline_3d", "kline_8h", "trades", ""])
def test_channels_that_okx_does_not_have_are_refused(channel: str) -> None:
    with pytest.raises(UnknownName):
        OKX.subscriptions([], [channel])
    with pytest.raises(UnknownName):
        OKX.stream(SPOT, channel)


def test_instruments_of_others_and_symbols_of_options_are_refused() -> None:
    with pytest.raises(UserError, match="not an instrument of OKX"):
        OKX.native(Instrument.parse("binance:BTC-USDT"))
    for symbol in ("BTC-USD-260327-100000-C", "BTC-USD_UM-SWAP", "BTCUSDT", "BTC-USDT-SWAP-SWAP", "BTC-USD-260231"):
        with pytest.raises(MalformedFrame, match="unknown symbol"):
            OKX.instrument(symbol)
