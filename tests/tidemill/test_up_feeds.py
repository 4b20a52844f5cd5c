import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnknownName, UserError
from core.settings import FeedSettings, Settings, SimulatorSettings
from tidemill.chosen_feeds import chosen
from tidemill.durations import seconds
from tidemill.endpoint import listen
from tidemill.launch import check_ports, served_by

MINE = FeedSettings(name="mine", venue="binance", instruments=("binance:LTC-USDT",))
OWN = FeedSettings(
    name="own",
    venue="simulated",
    instruments=("simulated:BTC-USDT",),
    websocket_url="ws://there",
    rest_url="http://there",
)
SETTINGS = Settings(feeds=(*Settings().feeds, MINE, OWN))


def test_without_a_name_all_feeds_of_the_settings_are_meant() -> None:
    assert chosen(SETTINGS, ()) == SETTINGS


def test_a_feed_of_the_settings_is_taken_as_it_stands_there() -> None:
    assert chosen(SETTINGS, ["mine", "mine"]).feeds == (MINE,)


@pytest.mark.parametrize(
    ("name", "instruments"),
    [
        ("binance", ("binance:BTC-USDT", "binance:ETH-USDT", "binance:SOL-USDT")),
        ("binance-usdm", ("binance:BTC-USDT-PERP", "binance:ETH-USDT-PERP", "binance:SOL-USDT-PERP")),
    ],
)
def test_a_venue_has_default_instruments(name: str, instruments: tuple[str, ...]) -> None:
    (feed,) = chosen(SETTINGS, [name]).feeds
    assert (feed.name, feed.dialect, feed.instruments) == (name, name, instruments)


def test_a_name_that_is_none_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownName, match="unknown feed 'binanse': did you mean 'binance'"):
        chosen(SETTINGS, ["binanse"])


@pytest.mark.parametrize(
    ("feed", "why"),
    [
        (FeedSettings(name="x", instruments=("binance:BTC-USDT",)), "unknown venue 'x'"),
        (FeedSettings(name="binance", instruments=("simulated:BTC-USDT",)), "simulated:BTC-USDT"),
        (FeedSettings(name="binance", instruments=("binance:BTC-USDT-PERP",)), "BTC-USDT-PERP"),
        (
            FeedSettings(name="binance", instruments=("binance:BTC-USDT",), channels=("trades",)),
            "did you mean 'trade'",
        ),
    ],
)
def test_a_feed_that_cannot_be_recorded_is_refused(feed: FeedSettings, why: str) -> None:
    with pytest.raises(UserError, match=why):
        chosen(Settings(feeds=(feed,)), ())


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("rest_url", "127.0.0.1:9555"),
        ("rest_url", "ws://127.0.0.1:9555"),
        ("rest_url", ""),
        ("rest_url", "http://"),
        ("rest_url", "http://x:0"),
        ("rest_url", "http://x/?symbol="),
        ("websocket_url", "http://x"),
        ("websocket_url", "ws://127.0.0.1:99999"),
        ("websocket_url", "ws://127.0.0.1:port"),
        ("websocket_url", "ws://[::1"),
        ("websocket_url", "ws://a b"),
        ("websocket_url", "ws://x\n"),
    ],
)
@pytest.mark.parametrize("venue", ["okx", "ccxt-kraken"])
def test_what_is_no_address_is_refused_with_an_example(venue: str, setting: str, url: str) -> None:
    feed = FeedSettings.model_validate({"name": "f", "venue": venue, "instruments": ["okx:BTC-USDT"], setting: url})
    path = {"okxwebsocket_url": "/ws/v5"}.get(venue + setting, "")
    scheme = "http" if setting == "rest_url" else "ws"
    with pytest.raises(UserError) as refused:
        chosen(Settings(feeds=(feed,)), ())
    assert f"feed 'f': the setting '{setting}'" in str(refused.value)
    assert str(refused.value).endswith(f"write one like {scheme}://127.0.0.1:9555{path}")


def test_a_password_in_a_wrong_address_is_not_told() -> None:
    feed = FeedSettings(name="okx", instruments=("okx:BTC-USDT",), rest_url="ftp://ann:hunter2@there")
    with pytest.raises(UserError, match="'rest_url' is no address") as refused:
        chosen(Settings(feeds=(feed,)), ())
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://proxy.example/okx/", "http://[::1]:80", "HTTP://x"])
def test_addresses_are_taken_as_they_stand(url: str) -> None:
    feed = FeedSettings(
        name="okx", instruments=("okx:BTC-USDT",), rest_url=url, websocket_url=url.lower().replace("http", "ws")
    )
    assert chosen(Settings(feeds=(feed,)), ()).feeds == (feed,)


@pytest.mark.parametrize(
    ("venue", "channels", "taken"),
    [
        ("binance", ("trade", "aggregate"), False),
        ("okx", ("quote", "aggregate", "kline_1m", "trade"), False),
        ("okx", ("aggregate", "quote", "kline_1m"), True),
        ("bitget", ("trade", "quote"), True),
        ("binance", ("quote", "kline_1m"), True),
    ],
)
def test_channels_that_number_the_same_trades_differently_are_refused(
    venue: str, channels: tuple[str, ...], taken: bool
) -> None:
    feed = FeedSettings(name="f", venue=venue, instruments=(f"{venue}:BTC-USDT",), channels=channels)
    if taken:
        assert chosen(Settings(feeds=(feed,)), ()).feeds == (feed,)
        return
    with pytest.raises(UserError, match=r"feed 'f': the channels '.*' and '.*' bring the same trades .*: choose one"):
        chosen(Settings(feeds=(feed,)), ())


def test_no_feed_at_all_is_refused() -> None:
    with pytest.raises(UserError, match="no feed"):
        chosen(Settings(feeds=()), ())


def test_the_simulator_serves_the_feeds_that_name_no_exchange_of_their_own() -> None:
    with listen(0, "simulator.port") as socket:
        there = f"127.0.0.1:{socket.getsockname()[1]}"
        feeds = {feed.name: feed for feed in served_by(SETTINGS, socket).feeds}
    assert (feeds["simulated"].websocket_url, feeds["simulated"].rest_url) == (f"ws://{there}", f"http://{there}")
    assert (feeds["mine"], feeds["own"]) == (MINE, OWN)


def test_a_port_that_is_in_use_is_found_before_anything_starts() -> None:
    with listen(0, "x") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} .*'simulator\.port'"):
            check_ports(Settings(simulator=SimulatorSettings(port=port), metrics={"port": 0}))
        for first in range(port - 5, port + 1):
            with pytest.raises(UserError, match="'metrics\\.port'"):
                check_ports(Settings(simulator=SimulatorSettings(port=0), metrics={"port": first}))


@given(st.integers(1, 10**6), st.sampled_from([("s", 1), ("m", 60), ("h", 3600)]))
def test_a_duration_is_a_number_and_a_unit(number: int, unit: tuple[str, int]) -> None:
    assert seconds(f"{number}{unit[0]}", "--for") == number * unit[1]


@pytest.mark.parametrize("text", ["", "60", "s", "1d", "-1s", "0s", "1e3s", "nan", "1 h 5 m", "١s", "9" * 400 + "s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--for .* is no duration: write 90s, 5m or 2h"):
        seconds(text, "--for")
