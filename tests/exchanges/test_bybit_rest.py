import random
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from core.timeframes import TIMEFRAMES
from exchanges.bybit_frames import INTERVALS
from exchanges.messages import Trade
from exchanges.registry import venue
from exchanges.text_ids import text_id

SPOT, LINEAR, INVERSE = venue("bybit"), venue("bybit-linear"), venue("bybit-inverse")
BTC, PERP = Instrument.parse("bybit:BTC-USDT"), Instrument.parse("bybit:BTC-USDT-PERP")
USD = INVERSE.instrument("BTCUSD")
TRADE = {"execId": "2100000000007764263", "symbol": "BTCUSDT", "price": "16618.49", "size": "0.00012",
         "side": "Buy", "time": "1672052955758", "isBlockTrade": False, "seq": "123456"}  # fmt: skip
ROW = ["1670605200000", "17071.5", "17071.5", "17061", "17071", "4177", "0.24469757"]
LISTED = {"symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC",
          "quoteCoin": "USDT", "deliveryTime": "0", "priceFilter": {"tickSize": "0.10"},
          "lotSizeFilter": {"qtyStep": "0.001"}}  # fmt: skip


def answer(result: Any, code: int = 0, words: str = "OK") -> bytes:
    return msgspec.json.encode({"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": 1})


def page(rows: list[Any], category: str = "linear", **more: Any) -> bytes:
    return answer({"category": category, "list": rows, **more})


def test_requests() -> None:
    assert (SPOT.time_request().path, dict(SPOT.time_request().params)) == ("/v5/market/time", {})
    assert dict(LINEAR.instruments_request().params) == {"category": "linear", "limit": 1000}
    assert dict(SPOT.trades_request(BTC, "trade").params) == {"category": "spot", "symbol": "BTCUSDT", "limit": 60}
    newest = INVERSE.older_trades_request(USD, "trade", None)
    assert newest.path == "/v5/market/recent-trade"
    assert dict(newest.params) == {"category": "inverse", "symbol": "BTCUSD", "limit": 1000}
    assert SPOT.older_trades_request(BTC, "trade", (1, 1_672_052_955_758_000)) is None
    with pytest.raises(UserError):
        SPOT.trades_request(BTC, "trade", first_id=5)
    with pytest.raises(UserError):
        SPOT.trades_request(BTC, "trade", start=1_672_052_955_758_000)
    with pytest.raises(UnknownName):
        SPOT.trades_request(BTC, "aggregate")
    with pytest.raises(UnknownName):
        SPOT.klines_request(BTC, "1s", 0, 1)


@given(
    st.sampled_from(sorted(INTERVALS)),
    st.integers(1_500_000_000, 1_800_000_000),
    st.integers(1, 3_000_000_000_000_000),
)
def test_a_request_for_candles_covers_at_most_a_page_and_moves_on(name: str, second: int, span: int) -> None:
    start, length = second * 1_000_000 + 1, TIMEFRAMES[name]
    until = LINEAR.klines_until(name, start, start + span)
    params = LINEAR.klines_request(PERP, name, start, start + span).params
    assert start < until <= start + span
    first = length.end(length.floor(start))
    assert int(params["start"]) * 1000 <= first
    at, count = first, 0
    while at < until:
        at, count = length.end(at), count + 1
    assert count <= int(params["limit"]) == 1000
    assert count == 1000 or until == start + span
    last = length.floor(until - 1)
    assert last < first or int(params["start"]) * 1000 <= last <= int(params["end"]) * 1000 < until


def test_time() -> None:
    payload = answer({"timeSecond": "1688639403", "timeNano": "1688639403423213947"})
    assert SPOT.read_time(payload) == 1_688_639_403_423_213


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"<html></html>",
        b"access too frequent",
        answer({}),
        answer({"timeNano": "x"}),
        answer({"timeNano": "5"}),
        answer({"timeNano": "1688639403423213947"}, 10006, "Too many visits!"),
        b"[" * 100_000,
    ],
    ids=range(9),
)
def test_readers_refuse_what_is_no_answer(payload: bytes) -> None:
    for read in (
        SPOT.read_time,
        SPOT.read_instruments,
        SPOT.next_instruments_request,
        lambda body: SPOT.read_trades(BTC, "trade", body, 5),
        lambda body: SPOT.read_klines(BTC, "1h", body),
    ):
        with pytest.raises(MalformedFrame):
            read(payload)


def test_instruments_have_tick_and_lot_and_our_names() -> None:
    rows = [
        LISTED,
        LISTED | {"symbol": "BTCPERP", "quoteCoin": "USDC"},
        LISTED | {"symbol": "BTCUSDT-27MAR26", "contractType": "LinearFutures", "deliveryTime": "1774598400000"},
        LISTED | {"symbol": "BIOUSDT", "baseCoin": "BIO", "status": "PreLaunch"},
        LISTED | {"symbol": "ODDUSDT", "baseCoin": "odd"},
        LISTED | {"symbol": "NEWUSDT", "baseCoin": "NEW", "contractType": "Unheard"},
    ]
    found = LINEAR.read_instruments(page(rows))
    assert [(one.name, one.native) for one in found] == [
        ("bybit:BTC-USDT-PERP", "BTCUSDT"),
        ("bybit:BTC-USDC-PERP", "BTCPERP"),
        ("bybit:BTC-USDT-20260327", "BTCUSDT-27MAR26"),
    ]
    assert {(one.tick, one.lot, one.multiplier, one.size_unit) for one in found} == {
        (Decimal("0.1"), Decimal("0.001"), 1, "base")
    }
    assert all(LINEAR.instrument(one.native).name == one.name for one in found)
    dated = LISTED | {"symbol": "BTCUSDH26", "quoteCoin": "USD", "contractType": "InverseFutures",
                      "deliveryTime": "1774598400000"}  # fmt: skip
    (one,) = INVERSE.read_instruments(page([dated], "inverse"))
    assert (one.name, one.size_unit) == ("bybit:BTC-USD-20260327", "quote")
    spot = {key: value for key, value in LISTED.items() if key not in ("contractType", "deliveryTime")}
    (one,) = SPOT.read_instruments(page([spot | {"lotSizeFilter": {"basePrecision": "0.000001"}}], "spot"))
    assert (one.name, one.lot) == ("bybit:BTC-USDT", Decimal("0.000001"))


def test_a_list_in_pages_names_the_next_one() -> None:
    following = LINEAR.next_instruments_request(page([LISTED], nextPageCursor="first%3DBIOUSDT%26last%3DBIOUSDT"))
    assert dict(following.params) == {
        "category": "linear", "limit": 1000, "cursor": "first%3DBIOUSDT%26last%3DBIOUSDT"
    }  # fmt: skip
    assert LINEAR.next_instruments_request(page([LISTED], nextPageCursor="")) is None
    assert LINEAR.next_instruments_request(page([], nextPageCursor="again")) is None
    assert SPOT.next_instruments_request(page([LISTED], "spot")) is None


def test_lists_that_contradict_themselves_are_refused() -> None:
    twice = [LISTED, LISTED | {"symbol": "BTCUSDT2"}]
    for payload in (page(twice), page([LISTED], "inverse"), page([LISTED | {"priceFilter": {}}])):
        with pytest.raises(MalformedFrame):
            LINEAR.read_instruments(payload)


@given(st.lists(st.tuples(st.uuids(), st.integers(0, 5)), min_size=1, max_size=30, unique_by=lambda row: row[0]))
def test_a_page_of_trades_is_what_the_websocket_brought(rows: list[tuple[Any, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[1])
    side = random.Random(3).choice
    told = [{"i": str(one), "T": 1_672_052_955_758 + ms, "s": "BTCUSDT", "S": side(["Buy", "Sell"]), "v": "0.25",
             "p": f"{16_000 + ms}.5"} for one, ms in rows]  # fmt: skip
    names = {"execId": "i", "symbol": "s", "side": "S", "size": "v", "price": "p"}
    paged = [{key: row[short] for key, short in names.items()} | {"time": str(row["T"])} for row in told]
    frame = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1_672_052_955_999, "data": told}
    trades = LINEAR.parse(msgspec.json.encode(frame), 5)
    batch = LINEAR.read_trades(PERP, "trade", page(paged[::-1]), 77)
    assert (batch.instrument, batch.id_space) == ("bybit:BTC-USDT-PERP", "execution")
    assert [
        Trade(batch.instrument, "execution", int(number), int(ts), 1_672_052_955_999_000, f"{price:.1f}",
              f"{size:.2f}", {1: "buy", -1: "sell"}[int(one)], int(fills))
        for number, ts, price, size, one, fills in zip(
            batch.ids, batch.ts, batch.price, batch.size, batch.side, batch.fills, strict=True)
    ] == trades  # fmt: skip
    assert set(batch.received.tolist()) == {77}


def test_an_empty_page_has_no_trades_and_a_spot_id_is_its_number() -> None:
    assert SPOT.read_trades(BTC, "trade", page([], "spot"), 5) is None
    batch = SPOT.read_trades(BTC, "trade", page([TRADE], "spot"), 5)
    assert batch.ids.tolist() == [2_100_000_000_007_764_263] == [text_id(TRADE["execId"])]


@pytest.mark.parametrize(
    "change",
    [
        {"execId": "0"},
        {"symbol": "ETHUSDT"},
        {"price": "0"},
        {"size": "-1"},
        {"side": "buy"},
        {"time": "soon"},
        {"time": 5},
    ],
)
def test_trades_that_cannot_be_trusted_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedFrame):
        SPOT.read_trades(BTC, "trade", page([TRADE | change], "spot"), 5)


def test_candles_come_in_any_order_and_leave_ascending() -> None:
    later = ["1670608800000", "17071", "17073", "17027", "17055.5", "268611", "15.74462667"]
    payload = page([later, ROW], "inverse", symbol="BTCUSD")
    assert INVERSE.read_klines(USD, "1h", payload).rows == [
        (1_670_605_200_000_000, "17071.5", "17071.5", "17061", "17071", "4177", "4177", 0, "0"),
        (1_670_608_800_000_000, "17071", "17073", "17027", "17055.5", "268611", "268611", 0, "0"),
    ]
    (row,) = LINEAR.read_klines(PERP, "1h", page([ROW], symbol="BTCUSDT")).rows
    assert row[5:] == ("4177", "0.24469757", 0, "0")
    for bad in ([ROW, ROW], [["1670605200001", *ROW[1:]]], [[*ROW[:3], "17072", *ROW[4:]]], [ROW[:6]]):
        with pytest.raises(MalformedFrame):
            INVERSE.read_klines(USD, "1h", page(bad, "inverse", symbol="BTCUSD"))
    with pytest.raises(MalformedFrame):
        INVERSE.read_klines(USD, "1h", page([ROW], "inverse", symbol="ETHUSD"))
