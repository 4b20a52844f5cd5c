import pytest

from core.errors import UserError
from core.records import Command
from core.settings import FeedSettings
from dataflows.gap_venues import source_of

HERE = "http://127.0.0.1:1"


def feed(name, venue, *instruments, rest_url=None):
    return FeedSettings(name=name, venue=venue, instruments=instruments, rest_url=rest_url)


@pytest.mark.parametrize(
    ("name", "space", "venue", "channel"),
    [
        ("binance:BTC-USDT", "trade", "binance", "trade"),
        ("binance:BTC-USDT", "aggregate", "binance", "aggregate"),
        ("binance:BTC-USDT-PERP", "aggregate", "binance-usdm", "aggregate"),
        ("bybit:BTC-USDT", "execution", "bybit", "trade"),
        ("bybit:BTC-USDT-PERP", "execution", "bybit-linear", "trade"),
        ("bybit:BTC-USD-PERP", "execution", "bybit-inverse", "trade"),
        ("bitget:BTC-USDT-PERP", "execution", "bitget-usdt", "trade"),
        ("okx:BTC-USDT-PERP", "merged", "okx", "aggregate"),
        ("deribit:BTC-USD-PERP", "trade", "deribit", "trade"),
    ],
)
def test_an_instrument_is_asked_of_the_venue_that_has_it(name, space, venue, channel):
    found = source_of(name, space, [], [], [])
    assert (found.venue.name, found.channel, found.instrument.name) == (venue, channel, name)


def test_a_feed_that_records_it_goes_before_others_and_says_the_address():
    feeds = [
        feed("other", "okx", "okx:ETH-USDT"),
        feed("one", "okx", "okx:BTC-USDT", rest_url=HERE),
        feed("usdm", "binance-usdm", "binance:BTC-USDT-PERP", rest_url="http://127.0.0.1:2"),
    ]
    assert source_of("okx:BTC-USDT", "trade", feeds, [], []).venue.rest_url == HERE
    assert source_of("okx:SOL-USDT", "trade", feeds, [], []).venue.rest_url != HERE
    added = [Command("subscribe", "one", {"instrument": "okx:SOL-USDT"})]
    assert source_of("okx:SOL-USDT", "trade", feeds, added, []).venue.rest_url == HERE
    # A feed of the same exchange that has no such market is passed over.
    assert source_of("binance:BTC-USDT", "trade", feeds, [], ["nowhere", "binance"]).venue.name == "binance"


@pytest.mark.parametrize(("name", "space"), [("nowhere:BTC-USDT", "trade"), ("bybit:BTC-USDT", "trade")])
def test_who_has_no_such_trades_is_not_asked(name, space):
    with pytest.raises(UserError):
        source_of(name, space, [], [], [])
