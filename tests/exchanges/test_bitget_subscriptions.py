import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.messages import Ack
from exchanges.registry import venue

SPOT, USDT = venue("bitget"), venue("bitget-usdt")
BTC, PERP = Instrument.parse("bitget:BTC-USDT"), Instrument.parse("bitget:BTC-USDT-PERP")

bases = st.text("ABCXYZ019", min_size=2, max_size=12)
markets = st.sampled_from([SPOT, USDT])
channels = st.sampled_from(["trade", "quote", "kline_1m", "kline_1d", "kline_1M"])


@given(markets, st.lists(bases, max_size=30), st.lists(channels, max_size=4))
@settings(max_examples=50, deadline=None)
def test_the_messages_ask_for_the_streams_and_their_acks_name_them(market, names, chosen) -> None:
    expiry = "" if market is SPOT else "PERP"
    instruments = [Instrument("bitget", base, "USDT", expiry) for base in names]
    wanted = {market.stream(one, channel) for one in instruments for channel in chosen}
    carried: list[str] = []
    for connection in market.subscriptions(instruments, chosen):
        assert connection.url == "wss://ws.bitget.com/v2/ws/public"
        assert len(connection.streams) <= market.limits.streams
        acked = []
        for text in connection.messages:
            assert len(text) <= 4096
            for arg in msgspec.json.decode(text)["args"]:
                (ack,) = market.parse(msgspec.json.encode({"event": "subscribe", "arg": arg}), 5)
                assert isinstance(ack, Ack)
                acked += ack.streams or ()
        assert tuple(acked) == connection.streams
        carried += connection.streams
    assert set(carried) == wanted
    assert len(carried) == len(wanted)


@given(markets, bases, st.sampled_from(["USDT", "USDC", "BTC", "EUR"]))
@settings(max_examples=50, deadline=None)
def test_a_symbol_names_the_instrument_that_it_came_from(market, base: str, quote: str) -> None:
    instrument = Instrument("bitget", base, quote) if market is SPOT else Instrument("bitget", base, "USDT", "PERP")
    assert market.instrument(market.native(instrument)).name == instrument.name


def test_messages_say_type_channel_and_symbol() -> None:
    assert SPOT.requests("UNSUBSCRIBE", ["SPOT:trade:BTCUSDT"]) == (
        '{"op":"unsubscribe","args":[{"instType":"SPOT","channel":"trade","instId":"BTCUSDT"}]}',
    )
    assert SPOT.requests("SUBSCRIBE", []) == ()
    assert USDT.stream(PERP, "kline_6h") == "USDT-FUTURES:candle6Hutc:BTCUSDT"


def test_quotes_and_mark_prices_of_futures_are_one_stream() -> None:
    (connection,) = USDT.subscriptions([PERP], ["quote", "mark_price"])
    assert connection.streams == ("USDT-FUTURES:ticker:BTCUSDT",)


def test_many_streams_are_split_by_what_bitget_advises() -> None:
    many = [Instrument("bitget", f"ASSET{k}", "USDT") for k in range(120)]
    found = SPOT.subscriptions(many, ["trade"])
    assert [len(connection.streams) for connection in found] == [50, 50, 20]
    assert [len(connection.messages) for connection in found] == [2, 2, 1]


def test_limits_and_heartbeat_are_those_of_the_documentation() -> None:
    for market in (SPOT, USDT):
        assert (market.limits.messages, market.limits.messages_per) == (10, 1)
        assert (market.limits.attempts, market.limits.attempts_per, market.limits.lifetime) == (300, 300, 86_400)
        assert (market.heartbeat.by, market.heartbeat.payload) == ("client", "ping")
        assert market.heartbeat.interval < 30
        assert (market.id_space("trade"), market.id_space("aggregate")) == ("execution", None)


@pytest.mark.parametrize("channel", ["depth", "kline_3d", "kline_1s", "aggregate", "mark_price", ""])
def test_channels_that_spot_does_not_have_are_refused(channel: str) -> None:
    with pytest.raises(UnknownName):
        SPOT.subscriptions([], [channel])
    with pytest.raises(UnknownName):
        SPOT.stream(BTC, channel)


def test_instruments_of_others_are_refused() -> None:
    for market, name in (
        (SPOT, "okx:BTC-USDT"),
        (SPOT, "bitget:BTC-USDT-PERP"),
        (USDT, "bitget:BTC-USDT"),
        (USDT, "bitget:BTC-USDC-PERP"),
    ):
        with pytest.raises(UserError, match="not an instrument of Bitget"):
            market.native(Instrument.parse(name))
    with pytest.raises(UserError, match="list of instruments"):
        USDT.native(Instrument.parse("bitget:BTC-USDT-20260327"))
    assert USDT.native(Instrument("bitget", "BTC", "USDT", "20260327", native="BTCUSDT260327")) == "BTCUSDT260327"
    with pytest.raises(MalformedFrame):
        USDT.instrument("BTCPERP")
