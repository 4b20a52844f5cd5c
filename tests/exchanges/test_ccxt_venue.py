import asyncio
import subprocess
import sys
from pathlib import Path

import ccxt
import ccxt.pro
import pytest

from core.errors import TransientError, UnknownName, UserError, VenueError
from core.instruments import Instrument
from exchanges import ccxt_symbols, ccxt_venue, history
from exchanges.budgets import Budgets
from exchanges.ccxt_exchange import facts, opened
from exchanges.ccxt_markets import described
from exchanges.clients import BringsClient, asked_by, dialer_of, rest_of
from exchanges.refusal import VenueRefusal
from exchanges.registry import VENUES, venue
from exchanges.rest import Throttled

ROOT = Path(__file__).parents[2]
WATCHED = sorted(one for one in ccxt.pro.exchanges if getattr(ccxt.pro, one)().has.get("watchTrades") is True)


def test_an_exchange_that_ccxt_does_not_know_is_refused_with_the_nearest_one():
    with pytest.raises(UnknownName, match="did you mean 'ccxt-kraken'"):
        venue("ccxt-krakn")
    with pytest.raises(UnknownName, match="ccxt-<exchange of ccxt>"):
        venue("kraken-spot")
    assert ccxt_venue._known_ids() == sorted(ccxt.exchanges)


@pytest.mark.parametrize("exchange_id", ["onetrading", "bit2c"])
def test_an_exchange_whose_trades_ccxt_cannot_watch_is_refused(exchange_id):
    market = venue(f"ccxt-{exchange_id}")
    one = Instrument.parse(f"{exchange_id}:BTC-USD")
    for asked in (
        lambda: market.native(one),
        lambda: market.subscriptions([one], ["trade"]),
        lambda: market.rest_url,
        lambda: rest_of(market),
    ):
        with pytest.raises(UserError, match=f"cannot watch the trades of {exchange_id}"):
            asked()


def test_the_contract_of_a_venue():
    market = venue("ccxt-kraken")
    assert (market.name, market.exchange, market.trade_channel) == ("ccxt-kraken", "kraken", "trade")
    assert market.id_space("trade") == "execution"
    assert market.id_space("quote") is None
    names = ["BTC-USD", "ETH-USD", "BTC-USD-PERP", "BTC-USDT-PERP", "BTC-USD-20260327"]
    wanted = [Instrument.parse(f"kraken:{name}") for name in names]
    found = market.subscriptions(wanted, ["trade"])
    assert {one.url: one.streams for one in found} == {
        "ccxt://kraken/spot": ("trade:kraken:BTC-USD", "trade:kraken:ETH-USD"),
        "ccxt://kraken/inverse": ("trade:kraken:BTC-USD-PERP",),
        "ccxt://kraken/linear": ("trade:kraken:BTC-USDT-PERP",),
        "ccxt://kraken/inverse-dated": ("trade:kraken:BTC-USD-20260327",),
    }
    many = [Instrument.parse(f"kraken:A{number}-USD") for number in range(120)]
    assert [len(one.streams) for one in market.subscriptions(many, ["trade"])] == [50, 50, 20]
    for channel in ("aggregate", "quote", "kline_1m"):
        with pytest.raises(UnknownName):
            market.subscriptions(wanted, [channel])
    with pytest.raises(UserError):
        market.stream(Instrument.parse("okx:BTC-USDT"), "trade")
    with pytest.raises(UserError):
        market.trades_request(wanted[0], "trade", first_id=1)
    with pytest.raises(UserError, match="no candles of 3d"):
        market.klines_request(wanted[0], "3d", 0, 1)


@pytest.mark.parametrize("exchange_id", WATCHED)
def test_every_exchange_that_ccxt_watches_is_a_venue(exchange_id):
    market = venue(f"ccxt-{exchange_id}", "ws://127.0.0.1:1", "http://127.0.0.1:2")
    assert isinstance(market, BringsClient)
    assert Instrument.parse(f"{market.exchange}:BTC-USD").venue == ccxt_symbols.prefix(exchange_id)
    assert market.budget.weight >= 1
    assert market.heartbeat.timeout >= 90
    assert (market.websocket_url, market.rest_url) == ("ws://127.0.0.1:1", "http://127.0.0.1:2")
    own = venue(f"ccxt-{exchange_id}")
    assert own.websocket_url.startswith("ws")
    assert own.rest_url.startswith("http")
    told = facts(exchange_id, None, None)
    assert "{" not in told.websocket_url + told.rest_url
    # What is watched is taken from where ccxt keeps it, under the size that we ask for.
    sources = [Path(sys.modules[kind.__module__].__file__) for kind in getattr(ccxt.pro, exchange_id).__mro__[:-1]]
    pro = "".join(one.read_text() for one in sources if "/pro/" in one.as_posix())
    assert "self.trades[" in pro
    assert "'tradesLimit'" in pro


def test_the_addresses_replace_scheme_host_and_port_of_every_one():
    exchange = opened("bybit", "ws://127.0.0.1:1/", "http://127.0.0.1:2/through")
    assert exchange.urls["api"]["public"] == "http://127.0.0.1:2/through"
    assert exchange.urls["api"]["ws"]["public"]["linear"] == "ws://127.0.0.1:1/v5/public/linear"
    assert exchange.number is str
    assert exchange.aiohttp_trust_env is False
    only = opened("binance", None, "http://127.0.0.1:2")
    assert only.urls["api"]["fapiPublic"] == "http://127.0.0.1:2/fapi/v1"
    assert only.urls["api"]["ws"]["spot"].startswith("wss://stream.binance.com")


def test_our_own_venues_are_asked_by_our_own_client():
    address = {"rest_url": "http://127.0.0.1:2"}
    assert asked_by(venue("okx", **address)) != asked_by(venue("ccxt-okx", **address))
    assert asked_by(venue("bybit", **address)) == asked_by(venue("bybit-linear", **address))
    assert not any(isinstance(one, BringsClient) for one in VENUES.values())
    with pytest.raises(TypeError):
        dialer_of(venue("ccxt-kraken"), rest_of(venue("binance")))


def test_reading_frames_does_not_load_ccxt():
    code = """
import sys
from exchanges.registry import venue
frame = b'{"ccxt":"kraken","symbol":"BTC/USD","trades":[{"id":"1","timestamp":1700000000000,'
frame += b'"price":"1","amount":"2","side":"buy"}]}'
market = venue("ccxt-kraken")
assert market.parse(frame, 1)[0].instrument == "kraken:BTC-USD"
assert market.exchange == "kraken" and market.id_space("trade")
assert not [name for name in sys.modules if name.partition(".")[0] in ("ccxt", "aiohttp")], "it was loaded"
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize(
    ("mode", "precision", "steps"),
    [
        (ccxt.TICK_SIZE, {"price": "0.01", "amount": 1e-8}, ("0.01", "0.00000001")),
        (ccxt.DECIMAL_PLACES, {"price": 2, "amount": "0"}, ("0.01", "1")),
        (ccxt.SIGNIFICANT_DIGITS, {"price": 5, "amount": 8}, ("", "")),
        (ccxt.TICK_SIZE, {"price": None}, ("", "")),
        (ccxt.TICK_SIZE, None, ("", "")),
    ],
)
def test_steps_are_read_by_what_the_exchange_means(mode, precision, steps):
    market = described({"symbol": "BTC/USD", "precision": precision, "contractSize": None}, mode)
    assert (market.tick, market.lot, market.size) == (*steps, "")


class Answering:
    """An exchange of ccxt's that gives or raises what it is told to."""

    def __init__(self, exchange):
        self.exchange = exchange

    def to(self, method, given):
        async def answer(*_, **__):
            if isinstance(given, BaseException):
                raise given
            return given

        setattr(self.exchange, method, answer)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (ccxt.RequestTimeout("late"), TransientError),
        (ccxt.ExchangeNotAvailable("gone"), TransientError),
        (ccxt.OnMaintenance("soon"), TransientError),
        (ccxt.RateLimitExceeded("slow down"), Throttled),
        (ccxt.DDoSProtection("slow down"), Throttled),
        (ccxt.BadSymbol("who?"), VenueRefusal),
        (ccxt.AuthenticationError("key"), VenueRefusal),
        (KeyError("result"), VenueError),
        (TypeError("NoneType"), VenueError),
        ("not a time", VenueError),
    ],
)
def test_errors_of_ccxt_are_ours(given, kind):
    async def run():
        market = venue("ccxt-binanceus", rest_url="http://127.0.0.1:9")
        rest = rest_of(market, budgets=Budgets())
        Answering(rest.exchange).to("fetch_time", given)
        try:
            with pytest.raises(kind) as raised:
                await history.time(rest, market)
            assert "\n" not in str(raised.value)
        finally:
            await rest.close()

    asyncio.run(run())
