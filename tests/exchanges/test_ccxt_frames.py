import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges import ccxt_answers, ccxt_frames
from exchanges.ccxt_frames import Rows
from exchanges.messages import Ack, ErrorReply, Trade
from exchanges.registry import venue
from exchanges.text_ids import text_id

KRAKEN = venue("ccxt-kraken")
MS = 1_700_000_000_123


def trade(**changed):
    return {"id": "7", "timestamp": MS, "price": "1.50", "amount": "2", "side": "buy", "info": {}, **changed}


def frames(*trades, symbol="BTC/USD"):
    rows = Rows()
    return ccxt_frames.trade_frames("kraken", symbol, [rows.row(one) for one in trades])


def read(given):
    return [message for frame in given for message in KRAKEN.parse(frame, 1)]


def test_a_trade_is_what_ccxt_told():
    (frame,) = frames(trade())
    assert json.loads(frame) == {
        "ccxt": "kraken",
        "symbol": "BTC/USD",
        "trades": [{"id": "7", "timestamp": MS, "price": "1.50", "amount": "2", "side": "buy"}],
    }
    assert read([frame]) == [
        Trade("kraken:BTC-USD", "execution", 7, MS * 1000, MS * 1000, "1.50", "2", "buy", 1),
    ]
    (dated,) = frames(trade(), symbol="BTC/USD:BTC-260327")
    assert read([dated])[0].instrument == "kraken:BTC-USD-20260327"


@pytest.mark.parametrize(
    ("told", "text"),
    [("1.50", "1.50"), (1.5, "1.5"), (92294.5, "92294.5"), (1e-7, "0.0000001"), ("4.923e-5", "0.00004923"), (3, "3")],
)
def test_numbers_are_the_venues_texts_or_the_shortest_decimals(told, text):
    (message,) = read(frames(trade(price=told)))
    assert message.price == text


@given(st.lists(st.integers(1, 10**15), unique=True, min_size=1, max_size=1200))
@settings(max_examples=20)
def test_every_trade_is_in_one_frame_in_order(ids):
    given_frames = frames(*(trade(id=str(one)) for one in ids))
    assert [message.id for message in read(given_frames)] == ids
    assert len(given_frames) == -(-len(ids) // ccxt_frames.TRADES_A_FRAME)
    kinds = {frame[: ccxt_frames.kind_bytes("kraken")] for frame in given_frames}
    others = [ccxt_frames.watching("kraken", ["s"]), ccxt_frames.refused("kraken", ["s"], "w")]
    assert kinds.isdisjoint(frame[: ccxt_frames.kind_bytes("kraken")] for frame in others)
    assert len(kinds) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"timestamp": None},
        {"timestamp": MS / 1e6},
        {"price": None},
        {"price": "NaN"},
        {"price": float("inf")},
        {"price": 0},
        {"amount": "-2"},
        {"amount": object()},
        {"side": None},
        {"side": "unknown"},
        {"price": "98765432109876.12345678901234567895"},
        {"price": True},
        {"amount": {"a": [1]}},
    ],
)
def test_a_trade_that_cannot_be_read_takes_no_other_with_it(odd):
    given_frames = frames(trade(id="1"), trade(id="2", **odd), trade(id="3"))
    assert len(given_frames) == 2
    assert [message.id for message in read(given_frames[:1])] == [1, 3]
    with pytest.raises(MalformedFrame):
        KRAKEN.parse(given_frames[1], 1)


def test_ids_that_are_missing_are_made_of_the_trade_and_are_the_same_again():
    told = [trade(id=None), trade(id=""), trade(id=None, side="sell"), trade(id=None, timestamp=MS + 1)]
    first, again = read(frames(*told)), read(frames(*told))
    assert len({one.id for one in first}) == 4
    assert first == again
    # What stands before it of other times and contents changes nothing.
    assert read(frames(trade(id=None, price="9"), told[2]))[1].id == first[2].id


@given(st.text(min_size=1, max_size=60))
def test_ids_are_the_venues_own_wherever_they_can_be(text):
    (message,) = read(frames(trade(id=text)))
    try:
        assert message.id == text_id(text)
    except MalformedFrame:
        assert message.id != read(frames(trade(id=text + "x")))[0].id


def test_what_became_of_subscriptions():
    assert read([ccxt_frames.watching("kraken", ["a", "b"])]) == [Ack(None, ("a", "b"))]
    assert read([ccxt_frames.refused("kraken", ["a"], "no")]) == [ErrorReply(0, "no", None, ("a",))]


@pytest.mark.parametrize(
    "frame",
    [
        b"{}",
        b"[]",
        b"",
        b"\xff",
        b'{"ccxt":"okx","symbol":"BTC/USD","trades":[]}',
        b'{"ccxt":"kraken","symbol":"BTC/USD"}',
        b'{"ccxt":"kraken","trades":[]}',
        b'{"ccxt":"kraken","symbol":"btc/usd","trades":[]}',
        b'{"ccxt":"kraken","symbol":null,"trades":[]}',
        b'{"ccxt":"kraken","watching":["a"],"trades":[]}',
        b'{"ccxt":"kraken","watching":["a"],"more":1}',
        b'{"ccxt":"kraken","refused":["a"]}',
        b'{"ccxt":"kraken","ccxt":"kraken","watching":["a"]}',
    ],
)
def test_frames_of_another_form_are_refused(frame):
    with pytest.raises(MalformedFrame):
        KRAKEN.parse(frame, 1)


@given(st.data())
@settings(max_examples=300)
def test_any_bytes_give_messages_or_are_malformed(data):
    whole = bytearray(frames(trade(), trade(id=None, price=0.25))[0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        found = KRAKEN.parse(bytes(whole), 1)
    except MalformedFrame:
        return
    for message in found:
        assert float(message.price) > 0
        assert -(2**63) <= message.id < 2**63
        assert message.id != 0


def test_a_page_is_read_in_order_each_trade_once():
    rows = [json.loads(frames(trade(id=str(one), timestamp=MS + one % 3))[0])["trades"][0] for one in (5, 2, 3, 5)]
    page = ccxt_answers.read_trades("kraken:BTC-USD", json.dumps({"trades": rows}).encode(), 9)
    assert page.ids.tolist() == [3, 5, 2]
    assert page.ts.tolist() == [MS * 1000, (MS + 2) * 1000, (MS + 2) * 1000]
    assert page.id_space == "execution"
    assert ccxt_answers.read_trades("kraken:BTC-USD", b'{"trades":[]}', 9) is None


def test_candles_are_read_with_what_ccxt_tells():
    rows = [[1_700_000_040_000, "1", "3", "1", "2", "7.5"], [1_699_999_980_000, "1.5", "1.5", "1.5", "1.5", "0"]]
    told = ccxt_answers.read_candles("kraken:BTC-USD", "1m", json.dumps({"candles": rows}).encode())
    assert told.rows == [
        (1_699_999_980_000_000, "1.5", "1.5", "1.5", "1.5", "0", "0", 0, "0"),
        (1_700_000_040_000_000, "1", "3", "1", "2", "7.5", "0", 0, "0"),
    ]
    with pytest.raises(MalformedFrame):
        ccxt_answers.read_candles("kraken:BTC-USD", "1m", b'{"candles":[[1,"1","3","1","2","7.5"]]}')
