"""Bybit read twice: by us and by ccxt, which knows the venue for itself."""

from functools import cache
from pathlib import Path
from typing import Any

import ccxt.pro
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchanges.registry import venue
from exchanges.text_ids import text_id

FRAMES = (Path(__file__).parents[1] / "fixtures/bybit.jsonl").read_bytes().splitlines()
CATEGORIES = ["bybit", "bybit-linear"]


@cache
def reference() -> ccxt.pro.bybit:
    return ccxt.pro.bybit()


decimals = st.decimals("0.0001", "99999", places=4).map(str)
trades = st.fixed_dictionaries(
    {
        "T": st.integers(1_600_000_000_000, 1_900_000_000_000),
        "s": st.just("BTCUSDT"),
        "S": st.sampled_from(["Buy", "Sell"]),
        "v": decimals,
        "p": decimals,
        "i": st.uuids().map(str) | st.integers(1, 2**63 - 1).map(str),
    }
)


def market(name: str) -> Any:
    return reference().safe_market("BTCUSDT", None, None, "spot" if name == "bybit" else "contract")


@pytest.mark.parametrize("name", CATEGORIES)
@given(rows=st.lists(trades, max_size=5))
@settings(max_examples=40, deadline=None)
def test_trades_of_the_websocket(name: str, rows: list[dict[str, Any]]) -> None:
    frame = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1672304486868, "data": rows}
    ours = venue(name).parse(msgspec.json.encode(frame), 5)
    theirs = [reference().parse_ws_trade(row, market(name)) for row in rows]
    assert [(one.id, one.time // 1000, one.side, float(one.price), float(one.size)) for one in ours] == [
        (text_id(one["id"]), one["timestamp"], one["side"], one["price"], one["amount"]) for one in theirs
    ]


@pytest.mark.parametrize("name", CATEGORIES)
@given(rows=st.lists(trades, min_size=1, max_size=5, unique_by=lambda row: row["i"]))
@settings(max_examples=40, deadline=None)
def test_trades_of_rest(name: str, rows: list[dict[str, Any]]) -> None:
    listed = [
        {"execId": row["i"], "symbol": row["s"], "price": row["p"], "size": row["v"], "side": row["S"],
         "time": str(row["T"]), "isBlockTrade": False} for row in rows
    ]  # fmt: skip
    category = "spot" if name == "bybit" else "linear"
    payload = msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": {"category": category, "list": listed}})
    ours = venue(name)
    batch = ours.read_trades(ours.instrument("BTCUSDT"), "trade", payload, 5)
    theirs = sorted(
        (reference().parse_trade(row, market(name)) for row in reversed(listed)), key=lambda one: one["timestamp"]
    )
    columns = (batch.ids, batch.ts // 1000, batch.price, batch.size, batch.side)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == [
        (text_id(one["id"]), one["timestamp"], one["price"], one["amount"], {"buy": 1, "sell": -1}[one["side"]])
        for one in theirs
    ]


def test_candles_of_both() -> None:
    frame = next(frame for frame in FRAMES if b"kline.5" in frame)
    (kline,) = venue("bybit").parse(frame, 5)
    (row,) = msgspec.json.decode(frame)["data"]
    told = [float(text) for text in (kline.open, kline.high, kline.low, kline.close, kline.volume)]
    assert reference().parse_ws_ohlcv(row) == [kline.start // 1000, *told]
    line = ["1670605200000", "17071.5", "17075.5", "17061", "17071", "4177", "0.24469757"]
    page = {"retCode": 0, "retMsg": "OK", "result": {"category": "inverse", "symbol": "BTCUSD", "list": [line]}}
    inverse = venue("bybit-inverse")
    (start, *values), *_ = inverse.read_klines(inverse.instrument("BTCUSD"), "1h", msgspec.json.encode(page)).rows
    theirs = reference().parse_ohlcv(line, reference().safe_market("BTCUSD", None, None, "contract"))
    assert theirs == [start // 1000, *(float(text) for text in values[:5])]


def test_quote_and_mark_price() -> None:
    book = next(frame for frame in FRAMES if b"orderbook.1." in frame)
    (quote,) = venue("bybit-linear").parse(book, 5)
    data = msgspec.json.decode(book)["data"]
    theirs = reference().parse_order_book(data, "BTC/USDT:USDT", quote.time // 1000, "b", "a")
    assert theirs["bids"] == [[float(quote.bid), float(quote.bid_size)]]
    assert theirs["asks"] == [[float(quote.ask), float(quote.ask_size)]]
    ticker = next(frame for frame in FRAMES if b"fundingRate" in frame)
    (mark,) = venue("bybit-linear").parse(ticker, 5)
    read = reference().parse_ticker(msgspec.json.decode(ticker)["data"], market("bybit-linear"))
    assert (read["markPrice"], read["indexPrice"]) == (float(mark.mark), float(mark.index))
    rate = reference().parse_funding_rate(msgspec.json.decode(ticker)["data"], market("bybit-linear"))
    assert (rate["fundingRate"], rate["fundingTimestamp"]) == (float(mark.funding_rate), mark.next_funding // 1000)
