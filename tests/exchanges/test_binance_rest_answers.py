"""What Binance answers by REST is read whole or refused: never guessed, never another error."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from core.instruments import Instrument
from exchanges.messages import Trade
from exchanges.registry import venue

SPOT, USDM = venue("binance"), venue("binance-usdm")
BTC, PERP = Instrument.parse("binance:BTC-USDT"), Instrument.parse("binance:BTC-USDT-PERP")
NOW = 1_700_000_000_000_000

TIME = {"serverTime": 1_499_827_319_559}
TRADES = [
    {"id": 28457 + k, "price": "4.00000100", "qty": "12.0", "quoteQty": "48.0", "time": 1_499_865_549_590 + k,
     "isBuyerMaker": bool(k % 2), "isBestMatch": True}
    for k in range(3)
]  # fmt: skip
AGGREGATES = [
    {"a": 26129 + k, "p": "0.01633102", "q": "4.70443515", "f": 27781 + 3 * k, "l": 27783 + 3 * k,
     "T": 1_498_793_709_153 + k, "m": True, "M": True}
    for k in range(3)
]  # fmt: skip
MINUTE = 60_000
KLINES = [
    [1_499_040_000_000 + k * MINUTE, "0.0163", "0.8000", "0.0157", "0.0157", "148976.1",
     1_499_040_059_999 + k * MINUTE, "2434.19055334", 308, "1756.87402397", "28.46694368", "0"]
    for k in range(3)
]  # fmt: skip


def listed(symbol: str, base: str, quote: str, status: str = "TRADING", kind: str | None = None) -> dict:
    rules = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001", "maxQty": "9000"},
        {"filterType": "NOTIONAL", "minNotional": "5.0"},
    ]
    contract = {} if kind is None else {"contractType": kind}
    return {"symbol": symbol, "status": status, "baseAsset": base, "quoteAsset": quote, "filters": rules, **contract}


INFO = {
    "timezone": "UTC",
    "symbols": [
        listed("BTCUSDT", "BTC", "USDT"),
        listed("LUNAUSDT", "LUNA", "USDT", status="BREAK"),
        listed("币安人生USDT", "币安人生", "USDT"),
        listed("1000SATSUSDT", "1000SATS", "USDT"),
    ],
}
FUTURES = {
    "symbols": [
        listed("BTCUSDT", "BTC", "USDT", kind="PERPETUAL"),
        listed("BTCUSDT_260327", "BTC", "USDT", kind="CURRENT_QUARTER"),
        listed("BTCUSDT_261399", "BTC", "USDT", kind="NEXT_QUARTER"),
        listed("ETHUSDT", "ETH", "USDT", kind=""),
        listed("XAUUSDT", "XAU", "USDT", kind="TRADIFI_PERPETUAL"),
    ]
}

READERS = {
    "time": (TIME, SPOT.read_time),
    "instruments": (INFO, SPOT.read_instruments),
    "futures": (FUTURES, USDM.read_instruments),
    "trades": (TRADES, lambda payload: SPOT.read_trades(BTC, "trade", payload, NOW)),
    "aggregates": (AGGREGATES, lambda payload: USDM.read_trades(PERP, "aggregate", payload, NOW)),
    "first": (AGGREGATES, SPOT.read_first_trade),
    "klines": (KLINES, lambda payload: SPOT.read_klines(BTC, "1m", payload)),
}


def test_every_answer_is_read_as_it_is() -> None:
    read = {name: reader(json.dumps(answer).encode()) for name, (answer, reader) in READERS.items()}
    assert read["time"] == 1_499_827_319_559_000
    assert [i.name for i in read["instruments"]] == ["binance:BTC-USDT", "binance:1000SATS-USDT"]
    assert (read["instruments"][0].native, str(read["instruments"][0].tick)) == ("BTCUSDT", "0.01")
    assert read["instruments"][0].lot == Decimal("0.00001")
    assert [i.name for i in read["futures"]] == [
        "binance:BTC-USDT-PERP",
        "binance:BTC-USDT-20260327",
        "binance:XAU-USDT-PERP",
    ]
    trades = read["trades"]
    assert (trades.instrument, trades.id_space) == ("binance:BTC-USDT", "trade")
    assert trades.ids.tolist() == [28457, 28458, 28459]
    assert trades.ts.tolist() == [1_499_865_549_590_000 + 1000 * k for k in range(3)]
    assert (trades.price[0], trades.size[0], trades.side.tolist()) == (4.000001, 12.0, [1, -1, 1])
    assert (trades.fills.tolist(), set(trades.received.tolist())) == ([1, 1, 1], {NOW})
    aggregates = read["aggregates"]
    assert (aggregates.instrument, aggregates.id_space) == ("binance:BTC-USDT-PERP", "aggregate")
    assert (aggregates.fills.tolist(), aggregates.side.tolist()) == ([3, 3, 3], [-1, -1, -1])
    assert read["first"] == 27781
    assert read["klines"].timeframe == "1m"
    assert read["klines"].rows[0] == (
        1_499_040_000_000_000, "0.0163", "0.8000", "0.0157", "0.0157", "148976.1", "2434.19055334", 308,
        "1756.87402397",
    )  # fmt: skip


def test_a_page_equals_the_frames_of_the_same_trades() -> None:
    batch = SPOT.read_trades(BTC, "trade", json.dumps(TRADES).encode(), NOW)
    for at, row in enumerate(TRADES):
        event = {"e": "trade", "E": row["time"], "s": "BTCUSDT", "t": row["id"], "p": row["price"], "q": row["qty"],
                 "T": row["time"], "m": row["isBuyerMaker"]}  # fmt: skip
        (trade,) = SPOT.parse(json.dumps(event).encode(), NOW)
        assert isinstance(trade, Trade)
        assert (trade.instrument, trade.id, trade.time) == (batch.instrument, batch.ids[at], batch.ts[at])
        assert (float(trade.price), float(trade.size)) == (batch.price[at], batch.size[at])
        assert (trade.side == "buy") == (batch.side[at] == 1)


def test_empty_pages_are_no_error() -> None:
    assert SPOT.read_trades(BTC, "trade", b"[]", NOW) is None
    assert SPOT.read_trades(BTC, "aggregate", b"[]", NOW) is None
    assert SPOT.read_first_trade(b"[]") is None
    assert SPOT.read_klines(BTC, "1m", b"[]").rows == []
    assert SPOT.read_instruments(b'{"symbols":[]}') == []


hostile = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["NaN", "Infinity", "-1", "1e5", "0x1", "0", "0.0", "9" * 50, "1.0000000000000001", "٣", "1_0"]),
    st.just([]),
    st.just({}),
)


def replaced(answer, path: list[int], value):
    """Give the answer with one place in it replaced, the place chosen by turns of the path."""
    if not path or not isinstance(answer, dict | list) or not answer:
        return value
    keys = list(answer) if isinstance(answer, dict) else list(range(len(answer)))
    key = keys[path[0] % len(keys)]
    changed = dict(answer) if isinstance(answer, dict) else list(answer)
    changed[key] = replaced(answer[key], path[1:], value)
    return changed


@settings(max_examples=200)
@given(st.sampled_from(sorted(READERS)), st.lists(st.integers(0, 30), min_size=1, max_size=5), hostile)
def test_readers_are_total_over_changed_values(name, path, value) -> None:
    answer, reader = READERS[name]
    total(reader, json.dumps(replaced(answer, path, value)).encode())


@settings(max_examples=150)
@given(st.sampled_from(sorted(READERS)), st.data())
def test_readers_are_total_over_changed_bytes(name, data) -> None:
    answer, reader = READERS[name]
    payload = bytearray(json.dumps(answer).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    total(reader, bytes(payload))


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=50))
def test_readers_are_total_over_any_bytes(name, payload) -> None:
    total(READERS[name][1], payload)


def total(reader, payload: bytes) -> None:
    try:
        read = reader(payload)
    except MalformedFrame as refusal:
        words = str(refusal)
    else:
        words = ""
    assert "\n" not in words
    assert len(words) < 400
    if words:
        return
    if hasattr(read, "price"):
        assert (read.price > 0).all()
        assert (read.size > 0).all()


def changed(rows: list, at: int, **values) -> bytes:
    return json.dumps([{**row, **values} if k == at else row for k, row in enumerate(rows)]).encode()


def kline(at: int, value, row: int = 1) -> bytes:
    rows = [list(values) for values in KLINES]
    rows[row][at] = value
    return json.dumps(rows).encode()


@pytest.mark.parametrize(
    ("name", "payload", "words"),
    [
        ("trades", changed(TRADES, 1, id=28457), "ascending"),
        ("trades", changed(TRADES, 1, id=0), "trade id"),
        ("trades", changed(TRADES, 1, price=4.0), "str"),
        ("trades", changed(TRADES, 1, price="0"), "not above 0"),
        ("trades", changed(TRADES, 1, price="1234567890.1234567"), "significant digits"),
        ("trades", changed(TRADES, 1, time=12), "trade time"),
        ("trades", changed(TRADES, 1, isBuyerMaker="true"), "bool"),
        ("trades", b'[{"id":1,"id":2,"price":"1","qty":"1","time":1499865549590,"isBuyerMaker":true}]', "twice"),
        ("trades", b"[" * 100_000, "not an answer"),
        ("aggregates", changed(AGGREGATES, 0, f=27784), "not a range"),
        ("aggregates", changed(AGGREGATES, 0, f=-1, l=-1), "trade id"),
        ("klines", kline(0, KLINES[1][0] + 1), "no start"),
        ("klines", kline(0, KLINES[0][0]), "ends elsewhere"),
        ("klines", kline(2, "0.0001"), "beyond its low or high"),
        ("klines", kline(3, "0.9"), "beyond its low or high"),
        ("klines", kline(5, "-1"), "volume"),
        ("klines", kline(6, KLINES[2][6]), "ends elsewhere"),
        ("klines", kline(8, -1), "number of trades"),
        ("klines", json.dumps(KLINES[::-1]).encode(), "does not come after"),
        ("klines", json.dumps([row[:9] for row in KLINES]).encode(), "length"),
        ("instruments", json.dumps({"symbols": [listed(s, "BTC", "USDT") for s in ("A", "B")]}).encode(), "twice"),
        ("time", b'{"serverTime":"1499827319559"}', "int"),
        ("time", b'{"serverTime":-1}', "server time"),
        ("first", changed(AGGREGATES, 0, f=0), "first trade id"),
    ],
)
def test_what_contradicts_itself_is_refused(name, payload, words) -> None:
    with pytest.raises(MalformedFrame, match=words):
        READERS[name][1](payload)


def test_a_step_of_zero_is_a_rule_that_is_off() -> None:
    info = json.loads(json.dumps({"symbols": [listed("BTCUSDT", "BTC", "USDT")]}))
    info["symbols"][0]["filters"][0]["tickSize"] = "0.00000000"
    info["symbols"][0]["filters"][1:] = []
    (instrument,) = SPOT.read_instruments(json.dumps(info).encode())
    assert (instrument.tick, instrument.lot) == (None, None)
