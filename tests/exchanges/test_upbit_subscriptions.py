import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.registry import venue

UPBIT = venue("upbit")
BTC, ETH = Instrument.parse("upbit:BTC-KRW"), Instrument.parse("upbit:ETH-BTC")


@given(st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True), st.sampled_from(["KRW", "BTC", "USDT"]))
def test_codes_and_names_are_two_ways_of_saying_one_thing(base: str, quote: str) -> None:
    instrument = Instrument("upbit", base, quote)
    code = UPBIT.native(instrument)
    assert code == f"{quote}-{base}"
    assert UPBIT.instrument(code).name == instrument.name
    assert UPBIT.native(UPBIT.instrument(code)) == code


@pytest.mark.parametrize(
    "code", ["", "BTC", "KRW-", "-BTC", "KRW_BTC", "krw-btc", "KRW-BTC.1", "KRW-BTC-PERP", "K-B"]
)
def test_codes_that_name_nothing_are_refused(code: str) -> None:
    with pytest.raises(MalformedFrame):
        UPBIT.instrument(code)


@pytest.mark.parametrize("name", ["binance:BTC-KRW", "upbit:BTC-KRW-PERP", "upbit:BTC-KRW-20260327"])
def test_upbit_has_spot_only(name: str) -> None:
    with pytest.raises(UserError):
        UPBIT.native(Instrument.parse(name))


def test_one_message_asks_for_everything() -> None:
    (connection,) = UPBIT.subscriptions([BTC, ETH], ["trade", "quote", "kline_1m", "kline_4h"])
    assert connection.url == "wss://api.upbit.com/websocket/v1"
    (message,) = connection.messages
    ticket, *types = msgspec.json.decode(message)
    assert list(ticket) == ["ticket"]
    assert len(ticket["ticket"]) == 32
    assert types == [
        {"type": "trade", "codes": ["KRW-BTC", "BTC-ETH"], "is_only_realtime": True},
        {"type": "orderbook", "codes": ["KRW-BTC.1", "BTC-ETH.1"]},
        {"type": "candle.1m", "codes": ["KRW-BTC", "BTC-ETH"]},
        {"type": "candle.240m", "codes": ["KRW-BTC", "BTC-ETH"]},
        {"format": "DEFAULT"},
    ]


@given(st.integers(0, 900), st.sets(st.sampled_from(["trade", "quote", "kline_1s", "kline_1h"])))
def test_every_stream_is_asked_for_once_and_a_connection_by_one_message(count: int, channels: set[str]) -> None:
    instruments = [Instrument("upbit", f"A{k}", "KRW") for k in range(count)]
    connections = UPBIT.subscriptions(instruments, sorted(channels))
    streams = [stream for connection in connections for stream in connection.streams]
    assert len(streams) == len(set(streams)) == count * len(channels)
    assert set(streams) == {UPBIT.stream(one, channel) for one in instruments for channel in channels}
    for connection in connections:
        (message,) = connection.messages
        asked = [
            f"{part['type']}:{code.removesuffix('.1')}"
            for part in msgspec.json.decode(message)
            for code in part.get("codes", [])
        ]
        assert asked == list(connection.streams)
        assert 0 < len(asked) <= UPBIT.limits.streams


def test_a_message_names_what_is_left_and_another_set_has_another_ticket() -> None:
    first, second = UPBIT.stream(BTC, "trade"), UPBIT.stream(ETH, "quote")
    (both,) = UPBIT.requests("SUBSCRIBE", [first, second])
    (left,) = UPBIT.requests("UNSUBSCRIBE", [first])
    assert msgspec.json.decode(left)[1]["codes"] == ["KRW-BTC"]
    assert msgspec.json.decode(left)[0] != msgspec.json.decode(both)[0]
    assert UPBIT.requests("UNSUBSCRIBE", []) == ()


@pytest.mark.parametrize("channel", ["aggregate", "mark_price", "kline_1d", "kline_10m", "trades"])
def test_channels_that_are_not_there_are_refused(channel: str) -> None:
    with pytest.raises(UnknownName):
        UPBIT.subscriptions([], [channel])
    assert UPBIT.id_space(channel) is None


def test_declared_as_documented() -> None:
    assert (UPBIT.exchange, UPBIT.trade_channel, UPBIT.id_space("trade")) == ("upbit", "trade", "execution")
    assert (UPBIT.heartbeat.by, UPBIT.heartbeat.payload) == ("client", "PING")
    assert UPBIT.heartbeat.interval + UPBIT.heartbeat.timeout <= 60
    assert (UPBIT.subscribing.acknowledged, UPBIT.subscribing.replaces) == (False, True)
    assert (UPBIT.limits.attempts, UPBIT.limits.attempts_per) == (5, 1)
    assert UPBIT.limits.messages <= 5
    assert UPBIT.limits.messages / UPBIT.limits.messages_per <= 100 / 60
    assert UPBIT.limits.streams == UPBIT.limits.streams_per_message
    assert (UPBIT.budget.weight, UPBIT.budget.seconds) == (10, 1)
