import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnknownName
from core.instruments import Instrument
from exchanges.registry import VENUES, venue

SPOT, USDM = venue("binance"), venue("binance-usdm")


def instruments(count: int, expiry: str = "") -> list[Instrument]:
    return [Instrument("binance", f"A{k}", "USDT", expiry) for k in range(count)]


@given(st.integers(0, 1500), st.sets(st.sampled_from(["trade", "aggregate", "quote", "kline_1m", "kline_1M"])))
def test_every_stream_is_asked_for_once_within_the_limits(count: int, channels: set[str]) -> None:
    for market, known, expiry in ((SPOT, channels, ""), (USDM, channels - {"trade"}, "PERP")):
        connections = market.subscriptions(instruments(count, expiry), sorted(known))
        streams = [stream for connection in connections for stream in connection.streams]
        assert len(streams) == len(set(streams)) == count * len(known)
        for connection in connections:
            requests = [msgspec.json.decode(message) for message in connection.messages]
            assert 0 < len(connection.streams) <= market.limits.streams
            assert [s for request in requests for s in request["params"]] == list(connection.streams)
            assert [request["id"] for request in requests] == list(range(1, len(requests) + 1))
            assert all(len(request["params"]) <= market.limits.streams_per_message for request in requests)
            assert {request["method"] for request in requests} == {"SUBSCRIBE"}


def test_spot_streams_come_over_one_address() -> None:
    (connection,) = SPOT.subscriptions([Instrument.parse("binance:BTC-USDT")], ["trade", "quote", "kline_1m"])
    assert connection.url == "wss://stream.binance.com:9443/stream"
    assert connection.streams == ("btcusdt@trade", "btcusdt@bookTicker", "btcusdt@kline_1m")
    assert connection.messages == (
        '{"method":"SUBSCRIBE","params":["btcusdt@trade","btcusdt@bookTicker","btcusdt@kline_1m"],"id":1}',
    )


def test_futures_streams_are_routed() -> None:
    market, public = USDM.subscriptions(
        [Instrument.parse("binance:BTC-USDT-PERP")], ["aggregate", "quote", "kline_1m"]
    )
    assert (market.url, market.streams) == (
        "wss://fstream.binance.com/market/stream",
        ("btcusdt@aggTrade", "btcusdt@kline_1m"),
    )
    assert (public.url, public.streams) == ("wss://fstream.binance.com/public/stream", ("btcusdt@bookTicker",))


def test_addresses_may_be_named_elsewhere() -> None:
    market = venue("binance-usdm", websocket_url="ws://127.0.0.1:9", rest_url="http://127.0.0.1:8")
    (connection,) = market.subscriptions([Instrument.parse("binance:BTC-USDT-PERP")], ["aggregate"])
    assert connection.url == "ws://127.0.0.1:9/market/stream"
    assert market.rest_url == "http://127.0.0.1:8"
    assert USDM.websocket_url == "wss://fstream.binance.com"


@pytest.mark.parametrize(
    ("market", "channel", "nearest"),
    [
        (SPOT, "trades", "trade"),
        (SPOT, "kline_7m", "kline_1m"),
        (USDM, "trade", None),
        (USDM, "kline_1s", "kline_1m"),
    ],
)
def test_channels_that_are_not_there_are_refused(market, channel: str, nearest: str | None) -> None:
    with pytest.raises(UnknownName) as refused:
        market.subscriptions([], [channel])
    assert nearest is None or (refused.value.nearest or "").startswith(nearest[:6])


def test_limits_and_heartbeats_are_those_of_the_documentation() -> None:
    assert (SPOT.limits.streams, SPOT.limits.messages, SPOT.limits.attempts) == (1024, 5, 300)
    assert (SPOT.heartbeat.by, SPOT.heartbeat.interval, SPOT.heartbeat.timeout) == ("server", 20, 60)
    assert (USDM.limits.streams, USDM.limits.messages, USDM.limits.lifetime) == (200, 10, 86_400)
    assert (USDM.heartbeat.interval, USDM.heartbeat.timeout) == (180, 600)


def test_a_misspelt_venue_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'binance-usdm'"):
        venue("binance-usdt")
    assert {name: market.name for name, market in VENUES.items()} == {name: name for name in VENUES}
