from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import MalformedFrame, TransientError, UnknownName, UserError
from core.instruments import Instrument
from core.timeframes import DAY, HOUR, SECOND, TIMEFRAMES
from exchanges.messages import Trade
from exchanges.registry import venue

UPBIT = venue("upbit")
BTC = Instrument.parse("upbit:BTC-KRW")
DAY_0 = 1_787_702_400_000_000
TICK = {"market": "KRW-BTC", "trade_date_utc": "2026-08-26", "trade_time_utc": "07:15:54", "timestamp": 1787728554797,
        "trade_price": 109847000.0, "trade_volume": 0.00509799, "ask_bid": "ASK",
        "sequential_id": 17877285547970000}  # fmt: skip
BAR = {"market": "KRW-BTC", "candle_date_time_utc": "2026-08-26T07:15:00", "opening_price": 109852000,
       "high_price": 109867000.0, "low_price": 109847000.0, "trade_price": 109847000.0, "timestamp": 1787728554853,
       "candle_acc_trade_price": 78269528.64757, "candle_acc_trade_volume": 0.71326612, "unit": 1}  # fmt: skip


def at(now: int):
    return replace(UPBIT, now=lambda: now * 1000)


def test_the_newest_trades_and_nothing_from_somewhere_on() -> None:
    newest = UPBIT.older_trades_request(BTC, "trade", None)
    assert newest == UPBIT.trades_request(BTC, "trade")
    assert (newest.path, dict(newest.params)) == ("/v1/trades/ticks", {"market": "KRW-BTC", "count": 200})
    for asked in ({"first_id": 5}, {"start": DAY_0}):
        with pytest.raises(UserError):
            UPBIT.trades_request(BTC, "trade", **asked)
    with pytest.raises(UnknownName):
        UPBIT.trades_request(BTC, "aggregate")


@given(st.integers(0, 9 * DAY), st.integers(20 * SECOND, DAY - 20 * SECOND))
def test_older_trades_are_asked_for_by_their_day(ago: int, of_day: int) -> None:
    now = DAY_0 + 20 * DAY + of_day
    request = at(now).older_trades_request(BTC, "trade", (17, now - ago))
    days = now // DAY - (now - ago) // DAY
    if days > 7:
        assert request is None
        return
    assert request is not None
    expected = {"market": "KRW-BTC", "count": 200, "cursor": 17}
    assert dict(request.params) == (expected | {"days_ago": days} if days else expected)


@pytest.mark.parametrize("now", [DAY_0 - SECOND, DAY_0, DAY_0 + SECOND])
def test_no_day_is_counted_from_while_it_changes(now: int) -> None:
    with pytest.raises(TransientError, match="ask again"):
        at(now).older_trades_request(BTC, "trade", (17, now - HOUR))


@given(st.integers(0, 9 * DAY))
def test_days_lead_back_one_by_one_and_end(ago: int) -> None:
    now, ts, seen = DAY_0 + DAY // 2, DAY_0 + DAY // 2 - ago, 0
    while (before := at(now).day_before(ts)) is not None:
        assert before // DAY == ts // DAY - 1
        assert at(now).older_trades_request(BTC, "trade", (17, before)) is not None
        ts, seen = before, seen + 1
    assert seen == max(0, 7 - (now // DAY - (now - ago) // DAY))


@given(
    st.sampled_from(["1s", "1m", "3m", "1h", "4h", "1d", "1w", "1M"]),
    st.integers(1_500_000_000, 1_800_000_000),
    st.integers(1, 10**15),
)
def test_a_request_for_candles_covers_at_most_a_page_and_moves_on(name: str, second: int, span: int) -> None:
    start, length = second * SECOND + 1, TIMEFRAMES[name]
    until = UPBIT.klines_until(name, start, start + span)
    assert start < until <= start + span
    moment, count = length.end(length.floor(start)), 0
    while moment < until:
        moment, count = length.end(moment), count + 1
    params = UPBIT.klines_request(BTC, name, start, start + span).params
    assert count <= int(params["count"]) == 200
    assert count == 200 or until == start + span
    read = UPBIT.read_klines(BTC, "1s", msgspec.json.encode([BAR | {"candle_date_time_utc": str(params["to"])[:-1]}]))
    # Whether "to" is in or out: the last candle is in, the one after it is not.
    last = length.floor(until - 1)
    assert read.rows[0][0] == last + SECOND
    assert last < until <= length.end(last)


def test_paths_of_candles() -> None:
    paths = {name: UPBIT.klines_request(BTC, name, DAY_0, DAY_0 + DAY).path for name in ("1s", "15m", "4h", "1w")}
    assert paths == {
        "1s": "/v1/candles/seconds", "15m": "/v1/candles/minutes/15", "4h": "/v1/candles/minutes/240",
        "1w": "/v1/candles/weeks",
    }  # fmt: skip
    with pytest.raises(UnknownName):
        UPBIT.klines_request(BTC, "12h", DAY_0, DAY_0 + DAY)


def test_the_time_is_an_http_date() -> None:
    assert UPBIT.time_request().header == "date"
    assert UPBIT.read_time(b"Wed, 26 Aug 2026 07:15:54 GMT") == 1_787_728_554_000_000
    for bad in (b"", b"yesterday", b"\xff", b"Wed, 99 Aug 2026 07:15:54 GMT", b"Wed, 26 Aug 1970 07:15:54 GMT"):
        with pytest.raises(MalformedFrame):
            UPBIT.read_time(bad)


def test_markets_are_instruments_without_tick_and_lot() -> None:
    rows = [
        {"market": code, "korean_name": "비트코인", "english_name": "x"} for code in ("KRW-BTC", "BTC-ETH", "odd")
    ]
    found = UPBIT.read_instruments(msgspec.json.encode(rows))
    assert [(one.name, one.native, one.tick, one.lot) for one in found] == [
        ("upbit:BTC-KRW", "KRW-BTC", None, None),
        ("upbit:ETH-BTC", "BTC-ETH", None, None),
    ]
    assert UPBIT.read_instruments(msgspec.json.encode([*rows, *rows])) == found


@pytest.mark.parametrize("payload", [b"", b"{}", b"<html></html>", b'{"error":{"name":404}}', b"[" * 100_000, b"[1]"])
def test_readers_refuse_what_is_no_answer(payload: bytes) -> None:
    for read in (
        UPBIT.read_instruments,
        lambda body: UPBIT.read_trades(BTC, "trade", body, 5),
        lambda body: UPBIT.read_klines(BTC, "1m", body),
    ):
        with pytest.raises(MalformedFrame):
            read(payload)


@given(
    st.lists(st.tuples(st.integers(1, 10**17), st.integers(0, 5)), min_size=1, max_size=30, unique_by=lambda r: r[0])
)
def test_a_page_of_trades_is_what_the_websocket_brought(rows: list[tuple[int, int]]) -> None:
    rows = sorted(rows, key=lambda row: row[1])
    ticks = [TICK | {"sequential_id": number, "timestamp": 1_787_728_554_797 + ms, "trade_volume": ms + 0.25,
                     "ask_bid": "BID" if number % 2 else "ASK"} for number, ms in rows]  # fmt: skip
    frames = [
        tick
        | {"type": "trade", "code": tick["market"], "trade_timestamp": tick["timestamp"], "timestamp": 1787728556000}
        for tick in ticks
    ]
    trades = [trade for frame in frames for trade in UPBIT.parse(msgspec.json.encode(frame), 5)]
    batch = UPBIT.read_trades(BTC, "trade", msgspec.json.encode(ticks[::-1]), 77)
    assert (batch.instrument, batch.id_space) == ("upbit:BTC-KRW", "execution")
    assert [
        Trade(batch.instrument, "execution", int(number), int(ts), 1_787_728_556_000_000, f"{price:.1f}",
              f"{size:.2f}", {1: "buy", -1: "sell"}[int(side)], int(fills))
        for number, ts, price, size, side, fills in zip(
            batch.ids, batch.ts, batch.price, batch.size, batch.side, batch.fills, strict=True)
    ] == trades  # fmt: skip
    assert set(batch.received.tolist()) == {77}


@pytest.mark.parametrize(
    "change",
    [{"market": "KRW-ETH"}, {"timestamp": 5}, {"trade_price": "1"}, {"trade_volume": 0}, {"ask_bid": "B"},
     {"sequential_id": 0}],
)  # fmt: skip
def test_trades_that_cannot_be_trusted_are_refused(change: dict[str, Any]) -> None:
    assert UPBIT.read_trades(BTC, "trade", b"[]", 5) is None
    with pytest.raises(MalformedFrame):
        UPBIT.read_trades(BTC, "trade", msgspec.json.encode([TICK | change]), 5)


def test_candles_come_in_any_order_and_leave_ascending() -> None:
    later = BAR | {"candle_date_time_utc": "2026-08-26T07:17:00"}
    rows = UPBIT.read_klines(BTC, "1m", msgspec.json.encode([later, BAR])).rows
    prices = ("109852000", "109867000.0", "109847000.0", "109847000.0", "0.71326612", "78269528.64757", 0, "0")
    assert rows == [(1_787_728_500_000_000, *prices), (1_787_728_620_000_000, *prices)]
    (summed,) = UPBIT.read_klines(BTC, "1m", msgspec.json.encode([BAR | {"candle_acc_trade_price": 3.56e-19}])).rows
    assert summed[6] == "0.000000000000000000"
    for bad in ([BAR, BAR], [BAR | {"market": "KRW-ETH"}], [BAR | {"high_price": 1}]):
        with pytest.raises(MalformedFrame):
            UPBIT.read_klines(BTC, "1m", msgspec.json.encode(bad))
