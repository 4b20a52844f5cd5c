import pytest

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from exchanges.registry import venue
from exchanges.venue import Venue

SPOT, USDM, SIMULATED = venue("binance"), venue("binance-usdm"), venue("simulated")
BTC, PERP = Instrument.parse("binance:BTC-USDT"), Instrument.parse("binance:BTC-USDT-PERP")


@pytest.mark.parametrize(
    ("market", "options", "path", "params", "weight"),
    [
        (SPOT, {}, "/api/v3/trades", {}, 25),
        (SPOT, {"first_id": 7}, "/api/v3/historicalTrades", {"fromId": 7}, 25),
        (USDM, {}, "/fapi/v1/aggTrades", {}, 20),
        (USDM, {"first_id": 7}, "/fapi/v1/aggTrades", {"fromId": 7}, 20),
        (USDM, {"start": 1_700_000_000_000_001}, "/fapi/v1/aggTrades", {"startTime": 1_700_000_000_001}, 20),
    ],
)
def test_requests_for_trades(market: Venue, options, path, params, weight) -> None:
    request = market.trades_request(BTC if market is SPOT else PERP, market.trade_channel, **options)
    assert (request.path, request.weight) == (path, weight)
    assert dict(request.params) == {"symbol": "BTCUSDT", "limit": 1000, **params}


def test_other_requests() -> None:
    first = SPOT.first_trade_request(BTC, 1_700_000_000_000_000)
    assert (first.path, dict(first.params)) == (
        "/api/v3/aggTrades",
        {"symbol": "BTCUSDT", "limit": 1, "startTime": 1_700_000_000_000},
    )
    candles = USDM.klines_request(PERP, "5m", 1_700_000_100_000_000, 1_700_000_400_000_000)
    assert (candles.path, dict(candles.params)) == (
        "/fapi/v1/klines",
        {"symbol": "BTCUSDT", "interval": "5m", "startTime": 1_700_000_100_000, "endTime": 1_700_000_399_999,
         "limit": 1000},
    )  # fmt: skip
    assert [market.time_request().path for market in (SPOT, USDM)] == ["/api/v3/time", "/fapi/v1/time"]
    assert [market.instruments_request().path for market in (SPOT, USDM)] == [
        "/api/v3/exchangeInfo",
        "/fapi/v1/exchangeInfo",
    ]


@pytest.mark.parametrize("market", [SPOT, USDM, SIMULATED], ids=lambda market: market.name)
def test_no_request_is_more_than_the_budget(market: Venue) -> None:
    instrument = Instrument(market.exchange, "BTC", "USDT", "PERP" if market is USDM else "")
    channel = market.trade_channel
    requests = [
        market.time_request(),
        market.instruments_request(),
        market.trades_request(instrument, channel),
        market.trades_request(instrument, channel, first_id=1),
        market.klines_request(instrument, "1m", 0, 60_000_000),
    ]
    assert all(0 < request.weight <= market.budget.weight for request in requests)
    assert market.stream(instrument, channel) in market.subscriptions([instrument], [channel])[0].streams


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UserError, match="not both"):
        SPOT.trades_request(BTC, "aggregate", first_id=1, start=1)
    with pytest.raises(UserError, match="first_id"):
        SPOT.trades_request(BTC, "trade", start=1)
    with pytest.raises(UnknownName, match="'trade'"):
        USDM.trades_request(PERP, "trade")
    with pytest.raises(UnknownName, match="'quote'"):
        SPOT.trades_request(BTC, "quote")
    with pytest.raises(UnknownName, match="'7m'"):
        SPOT.klines_request(BTC, "7m", 0, 1)
    with pytest.raises(UserError, match="not an instrument"):
        SPOT.trades_request(PERP, "trade")
    with pytest.raises(UnknownName):
        SPOT.stream(BTC, "depth")


def test_streams_are_taken_in_and_out_by_messages_within_the_limit() -> None:
    streams = [f"s{k}@trade" for k in range(201)]
    out = SPOT.requests("UNSUBSCRIBE", streams)
    assert len(out) == 2
    assert out[1] == '{"method":"UNSUBSCRIBE","params":["s200@trade"],"id":2}'
    assert SPOT.requests("SUBSCRIBE", ()) == ()
    (connection,) = SIMULATED.subscriptions([Instrument.parse("simulated:BTC-USDT")], ["trade"])
    assert connection.messages == SIMULATED.requests("SUBSCRIBE", connection.streams)
