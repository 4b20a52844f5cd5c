import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.registry import venue

SPOT, LINEAR, INVERSE = venue("bybit"), venue("bybit-linear"), venue("bybit-inverse")
ALL = (SPOT, LINEAR, INVERSE)


@pytest.mark.parametrize(
    ("market", "symbol", "name"),
    [
        (SPOT, "BTCUSDT", "bybit:BTC-USDT"),
        (SPOT, "BTCUSDE", "bybit:BTC-USDE"),
        (SPOT, "ETHBTC", "bybit:ETH-BTC"),
        (LINEAR, "BTCUSDT", "bybit:BTC-USDT-PERP"),
        (LINEAR, "1000PEPEUSDT", "bybit:1000PEPE-USDT-PERP"),
        (LINEAR, "BTCPERP", "bybit:BTC-USDC-PERP"),
        (INVERSE, "BTCUSD", "bybit:BTC-USD-PERP"),
    ],
)
def test_symbols_and_names_are_two_ways_of_saying_one_thing(market, symbol: str, name: str) -> None:
    instrument = market.instrument(symbol)
    assert (instrument.name, instrument.native) == (name, symbol)
    assert market.native(instrument) == market.native(Instrument.parse(name)) == symbol
    assert instrument.size_unit == ("quote" if market is INVERSE else "base")


@given(st.from_regex(r"[A-Z0-9]{1,10}", fullmatch=True), st.sampled_from(["USDT", "USDC"]))
def test_what_is_named_is_found_again(base: str, quote: str) -> None:
    for market, instrument in (
        (SPOT, Instrument("bybit", base, quote)),
        (LINEAR, Instrument("bybit", base, quote, "PERP")),
        (INVERSE, Instrument("bybit", base, "USD", "PERP")),
    ):
        assert market.instrument(market.native(instrument)).name == instrument.name


def test_dated_futures_say_their_day_or_need_the_list() -> None:
    assert LINEAR.instrument("BTC-26DEC25").name == "bybit:BTC-USDC-20251226"
    assert LINEAR.instrument("BTCUSDT-6FEB26").name == "bybit:BTC-USDT-20260206"
    with pytest.raises(MalformedFrame):
        INVERSE.instrument("BTCUSDH26")
    dated = Instrument.parse("bybit:BTC-USD-20260327")
    with pytest.raises(UserError, match="not in Bybit's list"):
        INVERSE.native(dated)
    listed = Instrument("bybit", "BTC", "USD", "20260327", native="BTCUSDH26", size_unit="quote")
    known = venue("bybit-inverse", listed={"BTCUSDH26": listed})
    assert known.instrument("BTCUSDH26") is listed
    assert known.native(dated) == "BTCUSDH26"


@pytest.mark.parametrize(
    ("market", "symbol"),
    [
        (SPOT, "BTC"),
        (SPOT, "USDT"),
        (SPOT, "btcusdt"),
        (SPOT, "BTC-USDT"),
        (SPOT, "BTCUSDT-26DEC25"),
        (LINEAR, "BTCUSD"),
        (LINEAR, "BTC-31FEB26"),
        (LINEAR, "BTC-26XXX25"),
        (LINEAR, "BTC-27DEC24-100000-C"),
        (INVERSE, "BTCUSDT"),
        (SPOT, "X" * 40),
    ],
)
def test_symbols_that_name_nothing_for_certain_are_refused(market, symbol: str) -> None:
    with pytest.raises(MalformedFrame):
        market.instrument(symbol)


@pytest.mark.parametrize(
    ("market", "name"),
    [
        (SPOT, "bybit:BTC-USDT-PERP"),
        (SPOT, "binance:BTC-USDT"),
        (LINEAR, "bybit:BTC-USDT"),
        (LINEAR, "bybit:BTC-USD-PERP"),
        (INVERSE, "bybit:BTC-USDT-PERP"),
        (INVERSE, "bybit:BTC-USD"),
    ],
)
def test_instruments_of_other_markets_are_refused(market, name: str) -> None:
    with pytest.raises(UserError, match="is not an instrument of Bybit"):
        market.native(Instrument.parse(name))


@given(st.integers(0, 900), st.sets(st.sampled_from(["trade", "quote", "kline_1m", "kline_1M", "mark_price"])))
def test_every_stream_is_asked_for_once_within_the_limits(count: int, channels: set[str]) -> None:
    for market, quote, expiry in ((SPOT, "USDT", ""), (LINEAR, "USDT", "PERP"), (INVERSE, "USD", "PERP")):
        known = channels - {"mark_price"} if market is SPOT else channels
        instruments = [Instrument("bybit", f"A{k}", quote, expiry) for k in range(count)]
        connections = market.subscriptions(instruments, sorted(known))
        streams = [stream for connection in connections for stream in connection.streams]
        assert len(streams) == len(set(streams)) == count * len(known)
        assert set(streams) == {market.stream(one, channel) for one in instruments for channel in known}
        for connection in connections:
            asked = [msgspec.json.decode(message) for message in connection.messages]
            assert 0 < len(connection.streams) <= market.limits.streams
            assert [stream for one in asked for stream in one["args"]] == list(connection.streams)
            assert {one["op"] for one in asked} == {"subscribe"}
            assert [one["req_id"] for one in asked] == [str(k) for k in range(1, len(asked) + 1)]
            assert all(len(one["args"]) <= 10 for one in asked)


def test_the_longest_topics_of_a_connection_stay_within_bybits_characters() -> None:
    longest = [f"orderbook.1.{'X' * 27}{number:03}" for number in range(LINEAR.limits.streams)]
    assert len(msgspec.json.encode(longest)) <= 21_000


def test_addresses_and_messages() -> None:
    (connection,) = LINEAR.subscriptions(
        [Instrument.parse("bybit:BTC-USDC-PERP")], ["trade", "quote", "kline_4h", "kline_1d", "mark_price"]
    )
    assert connection.url == "wss://stream.bybit.com/v5/public/linear"
    assert connection.messages == (
        '{"req_id":"1","op":"subscribe","args":["publicTrade.BTCPERP","orderbook.1.BTCPERP",'
        '"kline.240.BTCPERP","kline.D.BTCPERP","tickers.BTCPERP"]}',
    )
    assert LINEAR.requests("UNSUBSCRIBE", ["tickers.BTCPERP"]) == (
        '{"req_id":"1","op":"unsubscribe","args":["tickers.BTCPERP"]}',
    )
    moved = venue("bybit", websocket_url="ws://127.0.0.1:9", rest_url="http://127.0.0.1:8")
    (connection,) = moved.subscriptions([Instrument.parse("bybit:BTC-USDT")], ["trade"])
    assert connection.url == "ws://127.0.0.1:9/v5/public/spot"
    assert moved.rest_url == "http://127.0.0.1:8"


@pytest.mark.parametrize(("market", "channel"), [(SPOT, "mark_price"), (SPOT, "aggregate"), (LINEAR, "kline_1s")])
def test_channels_that_are_not_there_are_refused(market, channel: str) -> None:
    with pytest.raises(UnknownName):
        market.subscriptions([], [channel])
    assert market.id_space(channel) is None


def test_declared_as_documented() -> None:
    for market in ALL:
        assert (market.exchange, market.trade_channel, market.id_space("trade")) == ("bybit", "trade", "execution")
        assert (market.heartbeat.by, market.heartbeat.interval) == ("client", 20)
        assert msgspec.json.decode(market.heartbeat.payload) == {"op": "ping"}
        assert (market.limits.attempts, market.limits.attempts_per) == (500, 300)
        assert (market.budget.weight, market.budget.seconds) == (600, 5)
        assert (market.subscribing.acknowledged, market.subscribing.replaces) == (True, False)
