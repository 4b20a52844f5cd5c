from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.messages import Trade
from exchanges.registry import venue

OKX = venue("okx")
SPOT, SWAP = Instrument.parse("okx:BTC-USDT"), Instrument.parse("okx:BTC-USDT-PERP")
MINUTE = 60_000_000


def answer(data: object, code: str = "0", msg: str = "") -> bytes:
    return msgspec.json.encode({"code": code, "msg": msg, "data": data})


def row(number: int, side: str = "buy", ts: int = 1_630_048_897_897, **changed: object) -> dict[str, object]:
    return {"instId": "BTC-USDT", "side": side, "sz": "0.12", "px": "42219.9", "tradeId": str(number),
            "ts": str(ts)} | changed  # fmt: skip


def listed(symbol: str, kind: str, **changed: str) -> dict[str, str]:
    return {"instId": symbol, "instType": kind, "state": "live", "tickSz": "0.1", "lotSz": "0.00000001",
            "ctVal": "", "ctMult": "", "ctType": ""} | changed  # fmt: skip


def test_requests_are_those_of_the_documentation() -> None:
    older = OKX.trades_request(SPOT, "trade", first_id=1000)
    assert older.path == "/api/v5/market/history-trades"
    assert older.params == {"instId": "BTC-USDT", "type": 1, "after": 1100, "limit": 100}
    assert OKX.older_trades_request(SPOT, "trade", (1100, 5)) == older
    newest = OKX.older_trades_request(SPOT, "trade", None)
    assert newest == OKX.trades_request(SPOT, "aggregate")
    assert (newest.path, newest.params) == ("/api/v5/market/trades", {"instId": "BTC-USDT", "limit": 500})
    by_time = OKX.first_trade_request(SWAP, 1_630_048_897_897_001)
    assert by_time.params == {"instId": "BTC-USDT-SWAP", "type": 2, "after": 1_630_048_897_898, "limit": 1}
    candles = OKX.klines_request(SWAP, "1d", 86_400_000_000, 3 * 86_400_000_000)
    assert candles.path == "/api/v5/market/history-candles"
    assert candles.params == {"instId": "BTC-USDT-SWAP", "bar": "1Dutc", "before": 86_399_999, "after": 259_200_000,
                              "limit": 100}  # fmt: skip
    assert OKX.time_request().path == "/api/v5/public/time"


def test_no_request_lets_an_endpoint_have_more_than_its_limit() -> None:
    allowed = {"trades": 100, "history-trades": 20, "history-candles": 20, "instruments": 20, "time": 10}
    for request in (
        OKX.time_request(),
        OKX.instruments_request(),
        OKX.trades_request(SPOT, "trade"),
        OKX.trades_request(SPOT, "trade", first_id=1),
        OKX.first_trade_request(SPOT, MINUTE),
        OKX.klines_request(SPOT, "1m", 0, MINUTE),
    ):
        assert OKX.budget.weight / request.weight <= allowed[request.path.rpartition("/")[2]]
    assert OKX.budget.seconds == 2


@given(st.integers(0, 10**9), st.integers(1, 10**4), st.sampled_from(["1s", "1m", "4h", "1w", "1M"]))
@settings(max_examples=60, deadline=None)
def test_a_page_of_candles_asks_for_no_more_than_it_holds(start: int, minutes: int, name: str) -> None:
    start, end = start * 1_000_000, start * 1_000_000 + minutes * MINUTE
    until = OKX.klines_until(name, start, end)
    params = OKX.klines_request(SPOT, name, start, end).params
    assert start < until <= end
    assert params["before"] < start // 1000 <= until // 1000 <= params["after"]
    if name == "1m":
        starts = range(-(-start // MINUTE), -(-until // MINUTE))
        assert len(starts) <= 100
        assert until == end or len(starts) >= 99


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UserError, match="first id"):
        OKX.trades_request(SPOT, "trade", start=1)
    with pytest.raises(UnknownName):
        OKX.trades_request(SPOT, "quote")
    with pytest.raises(UnknownName, match="'3d'"):
        OKX.klines_request(SPOT, "3d", 0, 1)


@given(st.lists(st.integers(1, 2**62), unique=True, max_size=30), st.sampled_from(["trade", "aggregate"]))
@settings(max_examples=50, deadline=None)
def test_a_page_is_ascending_each_fill_for_itself(ids: list[int], channel: str) -> None:
    page = OKX.read_trades(SPOT, channel, answer([row(number) for number in sorted(ids, reverse=True)]), 9)
    if not ids:
        assert page is None
        return
    assert page is not None
    assert page.ids.tolist() == sorted(ids)
    assert page.id_space == ("trade" if channel == "trade" else "merged")
    assert set(page.fills.tolist()) == {1}
    assert set(page.received.tolist()) == {9}


def test_a_page_equals_the_frames_of_the_same_trades() -> None:
    rows = [row(12, "sell", 1_630_048_897_899), row(11), row(10, px="42219.8", sz="3")]
    page = OKX.read_trades(SPOT, "trade", answer(rows), 9)
    frames = [{"arg": {"channel": "trades-all", "instId": "BTC-USDT"}, "data": [one]} for one in reversed(rows)]
    told = [trade for frame in frames for trade in OKX.parse(msgspec.json.encode(frame), 9)]
    assert page is not None
    for at, trade in enumerate(told):
        assert isinstance(trade, Trade)
        assert (page.instrument, page.id_space) == (trade.instrument, trade.id_space)
        assert (page.ids[at], page.ts[at], page.fills[at]) == (trade.id, trade.time, trade.fills)
        assert (page.price[at], page.size[at]) == (float(trade.price), float(trade.size))
        assert page.side[at] == (1 if trade.side == "buy" else -1)


def test_the_first_trade_at_a_time_follows_the_last_before_it() -> None:
    assert OKX.read_first_trade(answer([row(41)])) == 42
    assert OKX.read_first_trade(answer([])) is None


def test_time_is_read() -> None:
    assert OKX.read_time(answer([{"ts": "1597026383085"}])) == 1_597_026_383_085_000


def test_instruments_say_what_a_contract_stands_for() -> None:
    page = answer(
        [
            listed("BTC-USDT-SWAP", "SWAP", ctVal="0.01", ctMult="1", lotSz="0.01"),
            listed("BTC-USD-SWAP", "SWAP", ctVal="100", ctMult="2"),
            listed("ETH-USD_UM-SWAP", "SWAP", ctVal="1"),
            listed("OLD-USDT-SWAP", "SWAP", ctVal="1", state="suspend"),
            {"instId": "NEW-USDT-SWAP", "instType": "SWAP", "state": "preopen"},
            listed("BAD-USDT-SWAP", "SWAP", ctVal=""),
        ]
    )
    linear, inverse = OKX.read_instruments(page)
    assert linear == Instrument(
        "okx", "BTC", "USDT", "PERP", "BTC-USDT-SWAP", Decimal("0.1"), Decimal("0.01"), Decimal("0.01"), "contracts"
    )
    assert (inverse.name, inverse.multiplier) == ("okx:BTC-USD-PERP", 200)
    (spot,) = OKX.read_instruments(answer([listed("BTC-USDT", "SPOT", state="live")]))
    assert (spot.name, spot.lot, spot.multiplier, spot.size_unit) == (
        "okx:BTC-USDT", Decimal("0.00000001"), 1, "base"
    )  # fmt: skip


def test_lists_of_instruments_follow_each_other() -> None:
    asked, request = [], OKX.instruments_request()
    while request is not None:
        kind = str(request.params["instType"])
        asked.append(kind)
        request = OKX.next_instruments_request(answer([listed("BTC-USDT", kind)]))
    assert asked == ["SPOT", "SWAP", "FUTURES"]
    assert OKX.next_instruments_request(answer([])) is None


def test_candles_are_ascending_and_say_nothing_of_trades() -> None:
    rows = [
        ["1597026420000", "2", "4", "1", "3", "45247", "529.5", "5529.5", "0"],
        ["1597026360000", "1", "3", "1", "2", "0", "0", "0", "1"],
    ]
    page = OKX.read_klines(SWAP, "1m", answer(rows))
    assert (page.instrument, page.timeframe) == ("okx:BTC-USDT-PERP", "1m")
    assert page.rows == [
        (1_597_026_360_000_000, "1", "3", "1", "2", "0", "0", 0, "0"),
        (1_597_026_420_000_000, "2", "4", "1", "3", "45247", "5529.5", 0, "0"),
    ]


@pytest.mark.parametrize(
    ("read", "payload", "reason"),
    [
        (OKX.read_time, answer([], "50011", "Rate limit\nreached"), "OKX refused: 50011: Rate limit reached"),
        (OKX.read_time, answer([]), "not one row"),
        (OKX.read_time, answer([{"ts": "1"}]), "neither ms nor"),
        (OKX.read_time, b"<html>", "not an answer of OKX"),
        (OKX.read_time, b"[" * 10**6, "not an answer of OKX"),
        (OKX.read_instruments, answer([listed("A-B", "SPOT"), listed("A-B", "SPOT", tickSz="1")]), "stands twice"),
        (OKX.read_instruments, answer([listed("A-B", "SWAP")]), "is listed as 'SWAP'"),
        (OKX.read_instruments, answer([listed("A-B", "SPOT", tickSz="-1")]), "tick size"),
        (OKX.next_instruments_request, answer([listed("A-B", "OPTION")]), "other types"),
        (OKX.read_first_trade, answer([row(1, tradeId="x")]), "not a whole number"),
        (lambda page: OKX.read_trades(SPOT, "trade", page, 1), answer([row(1), row(1)]), "not ascending"),
        (lambda page: OKX.read_trades(SPOT, "trade", page, 1), answer([row(1, instId="A-B")]), "holds one of 'A-B'"),
        (lambda page: OKX.read_trades(SPOT, "trade", page, 1), answer([row(1, side="Buy")]), "side"),
        (lambda page: OKX.read_trades(SPOT, "trade", page, 1), answer([row(0)]), "trade id 0"),
        (lambda page: OKX.read_klines(SPOT, "1m", page), answer([["1597026360000"] + ["1"] * 8] * 2), "twice"),
        (lambda page: OKX.read_klines(SPOT, "1h", page), answer([["1597026360000"] + ["1"] * 8]), "no start"),
    ],
)  # fmt: skip
def test_an_answer_that_cannot_be_trusted_is_refused_with_the_reason(read, payload: bytes, reason: str) -> None:
    with pytest.raises(MalformedFrame) as refused:
        read(payload)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=60) | st.dictionaries(st.sampled_from(["code", "data", "msg"]), st.text()).map(answer))
@settings(max_examples=80, deadline=None)
def test_readers_are_total(payload: bytes) -> None:
    for read in (
        OKX.read_time,
        OKX.read_instruments,
        OKX.next_instruments_request,
        OKX.read_first_trade,
        lambda page: OKX.read_trades(SPOT, "trade", page, 1),
        lambda page: OKX.read_klines(SPOT, "1m", page),
    ):
        with pytest.raises(MalformedFrame):
            read(payload)
