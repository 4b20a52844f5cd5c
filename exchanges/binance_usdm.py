"""Binance's USD-M futures; what they have in common with spot is in `exchanges.binance`."""

from exchanges import binance_endpoints
from exchanges.binance import INTERVALS, Binance
from exchanges.venue import Budget, Heartbeat, Limits

USDM = Binance(
    name="binance-usdm",
    websocket_url="wss://fstream.binance.com",
    rest_url="https://fapi.binance.com",
    heartbeat=Heartbeat(by="server", interval=180, timeout=600),
    # 1024 streams stand in the documentation; ccxt and nautilus keep to 200. Attempts are not documented: as spot.
    limits=Limits(
        streams=200,
        streams_per_message=200,
        messages=10,
        messages_per=1,
        attempts=300,
        attempts_per=300,
        lifetime=86_400,
    ),
    budget=Budget(weight=2400, seconds=60),
    endpoints=binance_endpoints.USDM,
    trade_channel="aggregate",
    futures=True,
    channels={
        "aggregate": ("/market", "aggTrade"),
        "quote": ("/public", "bookTicker"),
        "mark_price": ("/market", "markPrice@1s"),
        **{f"kline_{interval}": ("/market", f"kline_{interval}") for interval in INTERVALS},
    },
)
