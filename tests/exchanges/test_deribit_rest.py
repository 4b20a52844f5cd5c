"""What Deribit is asked and answers by REST: read whole or refused, never guessed, never another error."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.registry import venue

DERIBIT = venue("deribit")
PERP, SOL = Instrument.parse("deribit:BTC-USD-PERP"), Instrument.parse("deribit:SOL-USDC-PERP")
NOW = 1_700_000_000_000_000
MINUTE = 60_000


def answer(result) -> dict:
    return {"jsonrpc": "2.0", "result": result, "usIn": 1, "usOut": 2, "usDiff": 1, "testnet": False}


def trade(seq: int) -> dict:
    return {
        "trade_seq": seq, "trade_id": str(10 * seq), "timestamp": 1_590_470_616_101 + seq // 2, "price": 9681.5,
        "amount": 10.0, "direction": "buy" if seq % 3 else "sell", "instrument_name": "BTC-PERPETUAL",
        "index_price": 9679.48, "mark_price": 9684.0, "tick_direction": 2,
    }  # fmt: skip


def instrument(name: str, kind: str = "future", **changed) -> dict:
    return {
        "instrument_name": name, "kind": kind, "is_active": True, "tick_size": 0.5, "min_trade_amount": 10,
        "contract_size": 10, "instrument_type": "reversed", "base_currency": "BTC", "tick_size_steps": [], **changed,
    }  # fmt: skip


TIME = answer(1_550_147_385_946)
INSTRUMENTS = answer(
    [
        instrument("BTC-PERPETUAL"),
        instrument("BTC-27MAR26", tick_size=2.5),
        instrument("BTC-27MAR26-100000-C", "option"),
        instrument("BTC-FS-27MAR26_PERP", "future_combo"),
        instrument("ETH-PERPETUAL", is_active=False),
        instrument("SOL_USDC-PERPETUAL", instrument_type="linear", tick_size=1e-4, contract_size=0.1),
        instrument("BTC_USDC", "spot", instrument_type="linear", min_trade_amount=0.0001, contract_size=0.0001),
        instrument("Odd", "spot"),
    ]
)
TRADES = answer({"trades": [trade(seq) for seq in (299_515, 299_514, 299_513)], "has_more": True})
CHART = answer(
    {
        "volume": [19.007942601, 0, 3.6680847969999992], "cost": [19000, 0.0, 23400], "status": "ok",
        "ticks": [1_554_373_800_000 + k * MINUTE for k in range(3)], "open": [4963.42, 4986.29, 4986.29],
        "low": [4728.94, 4986.29, 4726.6], "high": [5185.45, 4986.29, 5250.87], "close": [5052.95, 4986.29, 5013.59],
    }
)  # fmt: skip
READERS = {
    "time": (TIME, DERIBIT.read_time),
    "instruments": (INSTRUMENTS, DERIBIT.read_instruments),
    "trades": (TRADES, lambda payload: DERIBIT.read_trades(PERP, "trade", payload, NOW)),
    "chart": (CHART, lambda payload: DERIBIT.read_klines(PERP, "1m", payload)),
}


def test_every_answer_is_read_as_it_is() -> None:
    read = {name: reader(json.dumps(told).encode()) for name, (told, reader) in READERS.items()}
    assert read["time"] == 1_550_147_385_946_000
    assert [(i.name, str(i.tick), str(i.lot), str(i.multiplier), i.size_unit) for i in read["instruments"]] == [
        ("deribit:BTC-USD-PERP", "0.5", "10", "10", "quote"),
        ("deribit:BTC-USD-20260327", "2.5", "10", "10", "quote"),
        ("deribit:SOL-USDC-PERP", "0.0001", "10", "0.1", "base"),
        ("deribit:BTC-USDC", "0.5", "0.0001", "0.0001", "base"),
    ]
    assert read["instruments"][0].native == "BTC-PERPETUAL"
    trades = read["trades"]
    assert (trades.instrument, trades.id_space) == ("deribit:BTC-USD-PERP", "trade")
    assert trades.ids.tolist() == [299_513, 299_514, 299_515]
    assert (trades.price[0], trades.size[0], trades.side.tolist()) == (9681.5, 10.0, [1, -1, 1])
    assert (trades.fills.tolist(), set(trades.received.tolist())) == ([1, 1, 1], {NOW})
    assert read["chart"].rows[0] == (
        1_554_373_800_000_000, "4963.42", "5185.45", "4728.94", "5052.95", "19000", "19000", 0, "0",
    )  # fmt: skip
    linear = DERIBIT.read_klines(SOL, "1m", json.dumps(CHART).encode())
    assert linear.rows[2][5:7] == ("3.6680847969999992", "23400")


def test_a_page_equals_the_frames_of_the_same_trades() -> None:
    batch = DERIBIT.read_trades(PERP, "trade", json.dumps(TRADES).encode(), NOW)
    params = {"channel": "trades.BTC-PERPETUAL.100ms", "data": TRADES["result"]["trades"][::-1]}
    frame = {"jsonrpc": "2.0", "method": "subscription", "params": params}
    for at, told in enumerate(DERIBIT.parse(json.dumps(frame).encode(), NOW)):
        assert (told.instrument, told.id, told.time) == (batch.instrument, batch.ids[at], batch.ts[at])
        assert (float(told.price), float(told.size)) == (batch.price[at], batch.size[at])
        assert (told.side == "buy") == (batch.side[at] == 1)


def test_candles_of_an_inverse_contract_count_what_its_trades_count() -> None:
    by_rest = DERIBIT.read_klines(PERP, "1m", json.dumps(CHART).encode())
    columns = CHART["result"]
    names = ("open", "high", "low", "close", "volume", "cost")
    data = {"tick": columns["ticks"][0], **{name: columns[name][0] for name in names}}
    params = {"channel": "chart.trades.BTC-PERPETUAL.1", "data": data}
    (live,) = DERIBIT.parse(json.dumps({"method": "subscription", "params": params}).encode(), NOW)
    assert by_rest.rows[0][:7] == (
        live.start, live.open, live.high, live.low, live.close, live.volume, live.quote_volume,
    )  # fmt: skip


def test_empty_pages_are_no_error() -> None:
    assert DERIBIT.read_trades(PERP, "trade", b'{"result":{"trades":[],"has_more":false}}', NOW) is None
    assert DERIBIT.read_klines(PERP, "1m", b'{"result":{"status":"no_data"}}').rows == []
    assert DERIBIT.read_instruments(b'{"result":[]}') == []


hostile = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["NaN", "-1", "1e5", "BTC-PERPETUAL", "٣"]),
    st.just([]),
    st.just({}),
)


def replaced(told, path: list[int], value):
    if not path or not isinstance(told, dict | list) or not told:
        return value
    keys = list(told) if isinstance(told, dict) else list(range(len(told)))
    key = keys[path[0] % len(keys)]
    changed = dict(told) if isinstance(told, dict) else list(told)
    changed[key] = replaced(told[key], path[1:], value)
    return changed


@settings(max_examples=300)
@given(st.sampled_from(sorted(READERS)), st.lists(st.integers(0, 30), min_size=1, max_size=5), hostile)
def test_readers_are_total_over_changed_values(name, path, value) -> None:
    told, reader = READERS[name]
    total(reader, json.dumps(replaced(told, path, value)).encode())


@settings(max_examples=200)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_readers_are_total_over_changed_bytes(name, data) -> None:
    told, reader = READERS[name]
    payload = bytearray(json.dumps(told).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    total(reader, bytes(payload))


def total(reader, payload: bytes) -> None:
    try:
        reader(payload)
    except MalformedFrame as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017 - either way is right, a long text is not
        assert len(str(refusal)) < 400  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("trades", '"trade_seq": 299513', '"trade_seq": 299514', "not ascending by id"),
        ("trades", '"instrument_name": "BTC-PERPETUAL"', '"instrument_name": "ETH-PERPETUAL"', "in the place of"),
        ("trades", '"price": 9681.5', '"price": "9681.5"', "JSON number"),
        ("trades", '"direction": "buy"', '"direction": "zero"', "enum"),
        ("trades", '"result"', '"error": {"code": 10028, "message": "too_many_requests"}, "x"', "required field"),
        ("chart", '"open": [4963.42, ', '"open": [', "differ in length"),
        ("chart", '"status": "ok"', '"status": "error"', "enum"),
        ("chart", "1554373860000", "1554373800000", "stands twice in a page"),
        ("chart", "1554373860000", "1554373860001", "no start"),
        ("chart", "4728.94", "6000.0", "beyond its low or high"),
        ("instruments", '"contract_size": ', '"contract_size": -', "contract size '-.*' is not a plain decimal"),
        ("time", "1550147385946", "15501473", "server time"),
        ("time", "1550147385946", '"1550147385946"', "int"),
    ],
)
def test_what_contradicts_itself_is_refused(name: str, old: str, new: str, words: str) -> None:
    told, reader = READERS[name]
    assert old in json.dumps(told)
    with pytest.raises(MalformedFrame, match=words):
        reader(json.dumps(told).replace(old, new).encode())


@pytest.mark.parametrize(
    ("options", "path", "params"),
    [
        ({}, "", {"sorting": "desc"}),
        ({"first_id": 7}, "", {"sorting": "asc", "start_seq": 7}),
        (
            {"start": 1_700_000_000_000_001},
            "_and_time",
            {"sorting": "asc", "start_timestamp": 1_700_000_000_001, "end_timestamp": 4_102_444_799_999},
        ),
    ],
)
def test_requests_for_trades(options, path, params) -> None:
    request = DERIBIT.trades_request(PERP, "trade", **options)
    assert (request.path, request.weight) == (f"/public/get_last_trades_by_instrument{path}", 500)
    assert dict(request.params) == {"instrument_name": "BTC-PERPETUAL", "count": 1000, **params}


def test_older_pages_end_before_the_first_trade() -> None:
    assert DERIBIT.older_trades_request(PERP, "trade", None) == DERIBIT.trades_request(PERP, "trade")
    older = DERIBIT.older_trades_request(PERP, "trade", (500, NOW))
    assert older.params == {"instrument_name": "BTC-PERPETUAL", "count": 1000, "sorting": "desc", "end_seq": 499}
    assert DERIBIT.older_trades_request(PERP, "trade", (1, NOW)) is None


def test_candles_are_asked_for_in_stretches_that_one_answer_holds() -> None:
    start, hour = 1_700_000_100_000_000, 3_600_000_000
    request = DERIBIT.klines_request(PERP, "1h", start, start + 2 * hour)
    assert dict(request.params) == {
        "instrument_name": "BTC-PERPETUAL", "resolution": "60", "start_timestamp": start // 1000 - 1,
        "end_timestamp": (start + 2 * hour) // 1000 - 1,
    }  # fmt: skip
    assert DERIBIT.klines_until("1h", start, start + 2 * hour) == start + 2 * hour
    assert DERIBIT.klines_until("1h", start, start + 9000 * hour) == start + 5000 * hour
    long = DERIBIT.klines_request(PERP, "1h", start, start + 9000 * hour)
    assert long.params["end_timestamp"] == (start + 5000 * hour) // 1000 - 1


def test_no_request_is_more_than_the_budget_and_the_list_is_asked_for_once_a_second() -> None:
    requests = [DERIBIT.time_request(), DERIBIT.trades_request(PERP, "trade"), DERIBIT.instruments_request()]
    assert [request.weight for request in requests] == [500, 500, DERIBIT.budget.weight]
    assert DERIBIT.budget.seconds == 1
    assert requests[2].params == {"currency": "any", "expired": "false"}


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UserError, match="not both"):
        DERIBIT.trades_request(PERP, "trade", first_id=1, start=1)
    for channel in ("aggregate", "quote"):
        with pytest.raises(UnknownName, match=channel):
            DERIBIT.trades_request(PERP, channel)
    for timeframe in ("1s", "4h", "7m"):
        with pytest.raises(UnknownName, match=timeframe):
            DERIBIT.klines_request(PERP, timeframe, 0, 1)
    assert DERIBIT.instrument("BTC-PERPETUAL").tick is None
    assert Decimal(1) == DERIBIT.instrument("BTC-PERPETUAL").multiplier
