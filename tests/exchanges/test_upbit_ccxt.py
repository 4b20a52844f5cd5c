"""Upbit read twice: by us and by ccxt, which knows the venue for itself."""

from functools import cache
from pathlib import Path

import ccxt.pro
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.instruments import Instrument
from exchanges.registry import venue

UPBIT = venue("upbit")
BTC = Instrument.parse("upbit:BTC-KRW")
FRAMES = (Path(__file__).parents[1] / "fixtures/upbit.jsonl").read_bytes().splitlines()


@cache
def reference() -> ccxt.pro.upbit:
    return ccxt.pro.upbit()


numbers = st.integers(1, 10**9).map(lambda value: value / 10_000)
ticks = st.fixed_dictionaries(
    {
        "market": st.just("KRW-BTC"),
        "timestamp": st.integers(1_600_000_000_000, 1_900_000_000_000),
        "trade_price": numbers,
        "trade_volume": numbers,
        "ask_bid": st.sampled_from(["ASK", "BID"]),
        "sequential_id": st.integers(1, 2**53),
    }
)


@given(tick=ticks)
@settings(max_examples=60, deadline=None)
def test_trades_of_the_websocket(tick) -> None:
    frame = tick | {"type": "trade", "code": "KRW-BTC", "trade_timestamp": tick["timestamp"]}
    (ours,) = UPBIT.parse(msgspec.json.encode(frame), 5)
    theirs = reference().parse_trade(frame, reference().safe_market("KRW-BTC"))
    assert (str(ours.id), ours.time // 1000, ours.side, float(ours.price), float(ours.size)) == (
        theirs["id"], theirs["timestamp"], theirs["side"], theirs["price"], theirs["amount"]
    )  # fmt: skip


@given(rows=st.lists(ticks, min_size=1, max_size=6, unique_by=lambda row: row["sequential_id"]))
@settings(max_examples=60, deadline=None)
def test_trades_of_rest(rows) -> None:
    batch, market = UPBIT.read_trades(BTC, "trade", msgspec.json.encode(rows), 5), reference().safe_market("KRW-BTC")
    theirs = [reference().parse_trade(row, market) for row in reversed(rows)]
    columns = (batch.ids, batch.ts // 1000, batch.price, batch.size, batch.side)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        (int(one["id"]), one["timestamp"], one["price"], one["amount"], {"buy": 1, "sell": -1}[one["side"]])
        for one in sorted(theirs, key=lambda one: one["timestamp"])
    ]


def test_candles() -> None:
    (frame,) = (frame for frame in FRAMES if b'"candle.1m"' in frame)
    (kline,) = UPBIT.parse(frame, 5)
    bar = msgspec.json.decode(frame)
    row = reference().parse_ohlcv({**bar, "market": bar["code"]}, reference().safe_market("KRW-BTC"))
    (start, *values), *_ = UPBIT.read_klines(BTC, "1m", msgspec.json.encode([bar | {"market": "KRW-BTC"}])).rows
    told = (kline.open, kline.high, kline.low, kline.close, kline.volume)
    assert row == [kline.start // 1000, *(float(text) for text in told)]
    assert row == [start // 1000, *(float(text) for text in values[:5])]


def test_quote() -> None:
    (frame,) = (frame for frame in FRAMES if b'"orderbook_units"' in frame)
    (quote,) = UPBIT.parse(frame, 5)
    theirs = reference().parse_order_book(
        msgspec.json.decode(frame), "BTC/KRW", None, "orderbook_units", "orderbook_units", "bid_price", "bid_size"
    )
    assert theirs["bids"][0] == [float(quote.bid), float(quote.bid_size)]


def test_markets() -> None:
    row = {"market": "KRW-BTC", "korean_name": "비트코인", "english_name": "Bitcoin"}
    (ours,) = UPBIT.read_instruments(msgspec.json.encode([row]))
    theirs = reference().parse_market(row)
    assert (theirs["base"], theirs["quote"], theirs["id"]) == (ours.base, ours.quote, ours.native)
