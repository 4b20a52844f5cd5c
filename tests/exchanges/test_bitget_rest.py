from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.messages import Trade
from exchanges.registry import venue

SPOT, USDT = venue("bitget"), venue("bitget-usdt")
BTC, PERP = Instrument.parse("bitget:BTC-USDT"), Instrument.parse("bitget:BTC-USDT-PERP")
MINUTE, DAY = 60_000_000, 86_400_000_000


def answer(data: object, code: str = "00000", msg: str = "success") -> bytes:
    return msgspec.json.encode({"code": code, "msg": msg, "requestTime": 1695865481335, "data": data})


def row(number: int, ts: int = 1_695_865_151_000, **changed: object) -> dict[str, object]:
    return {"tradeId": str(number), "price": "26372.5", "size": "9.25", "side": "Sell", "ts": str(ts),
            "symbol": "BTCUSDT"} | changed  # fmt: skip


def pair(symbol: str = "BTCUSDT", base: str = "BTC", **changed: str) -> dict[str, str]:
    return {"symbol": symbol, "baseCoin": base, "quoteCoin": "USDT", "pricePrecision": "2",
            "quantityPrecision": "6", "status": "online"} | changed  # fmt: skip


def contract(symbol: str = "BTCUSDT", base: str = "BTC", **changed: str) -> dict[str, str]:
    return {"symbol": symbol, "baseCoin": base, "quoteCoin": "USDT", "priceEndStep": "5", "pricePlace": "1",
            "volumePlace": "2", "sizeMultiplier": "0.01", "symbolType": "perpetual", "symbolStatus": "normal",
            "deliveryTime": ""} | changed  # fmt: skip


def test_requests_are_those_of_the_documentation() -> None:
    newest = SPOT.trades_request(BTC, "trade")
    assert (newest.path, newest.params) == (
        "/api/v2/spot/market/fills-history",
        {"symbol": "BTCUSDT", "limit": 1000},
    )
    assert SPOT.older_trades_request(BTC, "trade", None) == newest
    older = USDT.older_trades_request(PERP, "trade", (77, 5))
    assert older is not None
    assert (older.path, older.params) == (
        "/api/v2/mix/market/fills-history",
        {"symbol": "BTCUSDT", "productType": "USDT-FUTURES", "limit": 1000, "idLessThan": 77},
    )
    candles = SPOT.klines_request(BTC, "1m", 0, 5 * MINUTE)
    assert (candles.path, candles.params) == (
        "/api/v2/spot/market/history-candles",
        {"symbol": "BTCUSDT", "granularity": "1min", "endTime": 300_000, "limit": 200},
    )
    assert USDT.klines_request(PERP, "1h", 0, MINUTE).params["granularity"] == "1H"
    assert USDT.instruments_request().params == {"productType": "USDT-FUTURES"}
    assert [request.path for request in (SPOT.time_request(), SPOT.instruments_request())] == [
        "/api/v2/public/time",
        "/api/v2/spot/public/symbols",
    ]


def test_no_request_lets_an_endpoint_have_more_than_its_limit() -> None:
    for market, instrument in ((SPOT, BTC), (USDT, PERP)):
        assert market.budget.seconds == 1
        assert market.budget.weight / market.trades_request(instrument, "trade").weight == 10
        for request in (
            market.time_request(),
            market.instruments_request(),
            market.klines_request(instrument, "1m", 0, 1),
        ):
            assert market.budget.weight / request.weight == 20


@pytest.mark.parametrize(
    ("market", "timeframe", "candles"),
    [(SPOT, "1m", 199), (SPOT, "1d", 199), (USDT, "1m", 199), (USDT, "1d", 89), (USDT, "1w", 11), (USDT, "1M", 1)],
)
def test_a_page_of_candles_asks_for_no_more_than_is_given(market, timeframe: str, candles: int) -> None:
    ends = {"1m": MINUTE, "1d": DAY, "1w": 7 * DAY}
    start = 1_704_067_200_000_000  # a Monday and the first of a month
    until = market.klines_until(timeframe, start, start * 2)
    assert until == (start + candles * ends[timeframe] if timeframe in ends else start + 31 * DAY)
    assert market.klines_until(timeframe, start, start + 5) == start + 5


def test_what_cannot_be_asked_is_refused() -> None:
    for asked in ({"first_id": 1}, {"start": 1}):
        with pytest.raises(UserError, match="backwards only"):
            SPOT.trades_request(BTC, "trade", **asked)
    with pytest.raises(UnknownName):
        SPOT.trades_request(BTC, "aggregate")
    with pytest.raises(UnknownName, match="'3d'"):
        SPOT.klines_request(BTC, "3d", 0, 1)
    with pytest.raises(UserError, match="not an instrument"):
        SPOT.trades_request(PERP, "trade")


@given(st.lists(st.tuples(st.integers(1, 2**62), st.integers(0, 3)), unique_by=lambda one: one[0], max_size=30))
@settings(max_examples=50, deadline=None)
def test_a_page_is_ascending_by_time_whatever_its_order(trades: list[tuple[int, int]]) -> None:
    page = SPOT.read_trades(BTC, "trade", answer([row(n, 1_695_865_151_000 + at) for n, at in trades]), 9)
    if not trades:
        assert page is None
        return
    assert page is not None
    wanted = sorted((1_695_865_151_000_000 + at * 1000, number) for number, at in trades)
    assert list(zip(page.ts.tolist(), page.ids.tolist(), strict=True)) == wanted
    assert (page.id_space, set(page.side.tolist()), set(page.fills.tolist())) == ("execution", {-1}, {1})


def test_times_in_whole_seconds_are_read() -> None:
    page = SPOT.read_trades(BTC, "trade", answer([row(2, 1_695_865_151), row(1, 1_695_865_150_999)]), 9)
    assert page is not None
    assert page.ts.tolist() == [1_695_865_150_999_000, 1_695_865_151_000_000]


@pytest.mark.parametrize(("market", "instrument", "kind"), [(SPOT, BTC, "SPOT"), (USDT, PERP, "USDT-FUTURES")])
def test_a_page_equals_the_frame_of_the_same_trades(market, instrument, kind: str) -> None:
    rows = [row(13, 1_695_865_151_002, side="Buy"), row(12, 1_695_865_151_001, price="1.5"), row(11)]
    page = market.read_trades(instrument, "trade", answer(rows), 9)
    frame = {
        "action": "snapshot",
        "arg": {"instType": kind, "channel": "trade", "instId": "BTCUSDT"},
        "data": [{**one, "side": str(one["side"]).lower()} for one in rows],
        "ts": 1_695_865_151_100,
    }
    told = market.parse(msgspec.json.encode(frame), 9)
    assert page is not None
    assert len(page) == len(told) == 3
    for at, trade in enumerate(told):
        assert isinstance(trade, Trade)
        assert (page.instrument, page.id_space) == (trade.instrument, trade.id_space)
        assert (page.ids[at], page.ts[at], page.fills[at]) == (trade.id, trade.time, trade.fills)
        assert (page.price[at], page.size[at]) == (float(trade.price), float(trade.size))
        assert page.side[at] == (1 if trade.side == "buy" else -1)


def test_time_is_read() -> None:
    assert SPOT.read_time(answer({"serverTime": "1700111073740"})) == 1_700_111_073_740_000


def test_pairs_that_are_online_are_listed_with_their_steps() -> None:
    rows = [pair(), pair("OLDUSDT", "OLD", status="offline"), pair("GRAYUSDT", "GRAY", status="gray")]
    assert SPOT.read_instruments(answer([*rows, pair("$USDT", "$")])) == [
        Instrument("bitget", "BTC", "USDT", "", "BTCUSDT", Decimal("0.01"), Decimal("0.000001"))
    ]


def test_contracts_that_trade_are_listed_with_their_steps_and_dates() -> None:
    rows = [
        contract(),
        contract("ETHUSDT", "ETH", symbolStatus="off"),
        contract("BTCUSDT260327", symbolType="delivery", deliveryTime="1774598400000"),
        contract("XRPUSDT260327", "XRP", symbolType="delivery"),
    ]
    perpetual, dated = USDT.read_instruments(answer(rows))
    assert perpetual == Instrument(
        "bitget", "BTC", "USDT", "PERP", "BTCUSDT", Decimal("0.5"), Decimal("0.01"), Decimal(1), "base"
    )
    assert (dated.name, USDT.native(dated)) == ("bitget:BTC-USDT-20260327", "BTCUSDT260327")


def test_candles_are_ascending_with_the_volume_in_quote() -> None:
    rows = [
        ["1695865860000", "2", "4", "1", "3", "10", "20", "30"],
        ["1695865800000", "1", "3", "1", "2", "0", "0", "0"],
    ]
    first, second = SPOT.read_klines(BTC, "1m", answer(rows)).rows
    assert first == (1_695_865_800_000_000, "1", "3", "1", "2", "0", "0", 0, "0")
    assert second[5:] == ("10", "30", 0, "0")
    (_, future) = USDT.read_klines(PERP, "1m", answer([one[:7] for one in rows])).rows
    assert future[5:] == ("10", "20", 0, "0")


@pytest.mark.parametrize(
    ("read", "payload", "reason"),
    [
        (SPOT.read_time, answer(None, "40034", "no\nsuch"), "Bitget refused: 40034: no such"),
        (SPOT.read_time, answer({}), "not an answer of Bitget"),
        (SPOT.read_time, b"<html>", "not an answer of Bitget"),
        (SPOT.read_time, b"[" * 10**6, "not an answer of Bitget"),
        (SPOT.read_instruments, answer([pair(), pair(pricePrecision="5")]), "stands twice"),
        (SPOT.read_instruments, answer([pair(pricePrecision="19")]), "too many"),
        (USDT.read_instruments, answer([contract(), contract(sizeMultiplier="5")]), "stands twice"),
        (USDT.read_instruments, answer([contract(sizeMultiplier="x")]), "size step"),
        (lambda page: SPOT.read_trades(BTC, "trade", page, 1), answer([row(1), row(1)]), "names one twice"),
        (lambda page: SPOT.read_trades(BTC, "trade", page, 1), answer([row(1, symbol="X")]), "holds one of 'X'"),
        (lambda page: SPOT.read_trades(BTC, "trade", page, 1), answer([row(1, side="BUY")]), "side"),
        (lambda page: SPOT.read_trades(BTC, "trade", page, 1), answer([row(1, 169_586_515)]), "neither ms nor"),
        (lambda page: SPOT.read_trades(BTC, "trade", page, 1), answer([row(0)]), "trade id 0"),
        (lambda page: SPOT.read_klines(BTC, "1m", page), answer([["1695865800000"] + ["1"] * 6]), "quote volume"),
        (lambda page: SPOT.read_klines(BTC, "1m", page), answer([["1695865800000"] + ["1"] * 7] * 2), "twice"),
        (lambda page: USDT.read_klines(PERP, "1h", page), answer([["1695865860000"] + ["1"] * 6]), "no start"),
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
    for market, instrument in ((SPOT, BTC), (USDT, PERP)):
        for read in (
            market.read_time,
            market.read_instruments,
            lambda page, market=market, one=instrument: market.read_trades(one, "trade", page, 1),
            lambda page, market=market, one=instrument: market.read_klines(one, "1m", page),
        ):
            with pytest.raises(MalformedFrame):
                read(payload)
