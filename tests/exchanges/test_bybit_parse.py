import contextlib
import random
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Quote, Trade
from exchanges.registry import venue

SPOT, LINEAR, INVERSE = venue("bybit"), venue("bybit-linear"), venue("bybit-inverse")
FRAMES = (Path(__file__).parents[1] / "fixtures/bybit.jsonl").read_bytes().splitlines()
ACCEPTED, REFUSED, TRADE, KLINE, PONG, PLAIN_PONG, BOOK, TICKER, MOVED, NOTHING_NEW, DEPTH = FRAMES


def test_trade_says_what_the_documentation_says() -> None:
    assert LINEAR.parse(TRADE, 5) == [
        Trade(
            instrument="bybit:BTC-USDT-PERP",
            id_space="execution",
            id=-2349697982512692747,
            time=1_672_304_486_865_000,
            sent=1_672_304_486_868_000,
            price="16578.50",
            size="0.001",
            side="buy",
            fills=1,
        )
    ]


def test_the_same_symbol_is_another_instrument_in_another_category() -> None:
    names = [market.parse(TRADE, 5)[0].instrument for market in (SPOT, LINEAR)]
    assert names == ["bybit:BTC-USDT", "bybit:BTC-USDT-PERP"]
    with pytest.raises(MalformedFrame, match="unknown symbol 'BTCUSDT'"):
        INVERSE.parse(TRADE, 5)


def test_a_frame_of_many_trades_gives_each_in_order() -> None:
    event = msgspec.json.decode(TRADE)
    rows = [event["data"][0] | {"i": str(2_100_000_000_000_000_000 + k), "S": "Sell"} for k in range(1024)]
    trades = SPOT.parse(msgspec.json.encode(event | {"data": rows}), 5)
    assert [trade.id for trade in trades] == [2_100_000_000_000_000_000 + k for k in range(1024)]
    assert {trade.side for trade in trades} == {"sell"}


def test_kline_says_what_the_documentation_says() -> None:
    expected = Kline(
        instrument="bybit:BTC-USDT",
        timeframe="5m",
        start=1_672_324_800_000_000,
        sent=1_672_324_988_882_000,
        open="16649.5",
        high="16677",
        low="16608",
        close="16677",
        volume="2.081",
        quote_volume="34666.4005",
        trade_count=None,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        first_id=None,
        last_id=None,
        closed=False,
    )
    assert SPOT.parse(KLINE, 5) == [expected]
    (kline,) = SPOT.parse(KLINE.replace(b"false", b"true"), 5)
    assert kline.closed is True


def test_the_volume_of_inverse_contracts_is_in_their_quote_asset() -> None:
    (kline,) = INVERSE.parse(KLINE.replace(b"BTCUSDT", b"BTCUSD"), 5)
    assert (kline.instrument, kline.volume, kline.quote_volume) == ("bybit:BTC-USD-PERP", "2.081", "2.081")


def test_quote_is_the_matching_engines_and_is_ordered_by_the_cross_sequence() -> None:
    times = 1_672_304_484_976_000, 1_672_304_484_978_000
    expected = Quote("bybit:BTC-USDT", 7961638724, *times, "16578.00", "2.113", "16578.50", "0.029")
    assert SPOT.parse(BOOK, 5) == [expected]
    (quote,) = SPOT.parse(BOOK.replace(b',"cts":1672304484976', b""), 5)
    assert (quote.time, quote.sent) == (times[1], times[1])
    (quote,) = SPOT.parse(BOOK.replace(b'"b":[["16578.00","2.113"]]', b'"b":[]'), 5)
    assert (quote.bid, quote.bid_size, quote.ask) == ("0", "0", "16578.50")


def test_a_ticker_says_what_it_says_and_leaves_out_what_has_not_changed() -> None:
    time = 1_672_304_484_978_000
    due = 1_672_329_600_000_000
    assert LINEAR.parse(TICKER, 5) == [
        MarkPrice("bybit:BTC-USDT-PERP", time, time, "16577.91", "16580.02", "-0.000212", due)
    ]
    (mark,) = LINEAR.parse(MOVED, 5)
    assert (mark.mark, mark.index, mark.funding_rate, mark.next_funding) == ("16578.02", None, None, None)
    (bare,) = LINEAR.parse(TICKER.replace(b'"16580.02"', b'"0.00"'), 5)
    assert (bare.mark, bare.index) == ("16577.91", None)
    assert LINEAR.parse(NOTHING_NEW, 5) == SPOT.parse(TICKER, 5) == SPOT.parse(DEPTH, 5) == []


def test_a_dated_future_has_no_funding() -> None:
    dated = TICKER.replace(b"BTCUSDT", b"BTC-26DEC25").replace(b"1672329600000", b"").replace(b"-0.000212", b"")
    (mark,) = LINEAR.parse(dated, 5)
    assert (mark.instrument, mark.index) == ("bybit:BTC-USDC-20251226", "16580.02")
    assert (mark.funding_rate, mark.next_funding) == (None, None)


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        (ACCEPTED, [Ack("t1")]),
        (ACCEPTED.replace(b'"ret_msg":""', b'"ret_msg":"subscribe"'), [Ack("t1")]),
        (ACCEPTED.replace(b'"req_id":"t1",', b'"req_id":"",'), [Ack(None)]),
        (ACCEPTED.replace(b'"op":"subscribe"', b'"op":"unsubscribe"'), [Ack("t1")]),
        (REFUSED, [ErrorReply(0, "Invalid topic: …", "t1")]),
        (
            b'{"success":false,"ret_msg":"error:handler not found,topic:kline.1.NOPE","req_id":"2","op":"subscribe"}',
            [ErrorReply(0, "error:handler not found,topic:kline.1.NOPE", "2", ("kline.1.NOPE",))],
        ),
        (
            b'{"success":false,"ret_msg":"error:already subscribed,topic:publicTrade.BTCUSDT","op":"subscribe"}',
            [Ack(None, ("publicTrade.BTCUSDT",))],
        ),
        (PONG, []),
        (PLAIN_PONG, []),
    ],
)
def test_answers_and_pongs(frame: bytes, messages: list[object]) -> None:
    assert SPOT.parse(frame, 5) == messages


@pytest.mark.parametrize(
    ("frame", "old", "new", "reason"),
    [
        (TRADE, b"publicTrade", b"trade", "unknown topic 'trade.BTCUSDT'"),
        (TRADE, b"publicTrade.BTCUSDT", b"publicTrade.ETHUSDT", "a topic of ETHUSDT brought 'BTCUSDT'"),
        (TRADE, b"BTCUSDT", b"BTCXYZ", "unknown symbol 'BTCXYZ'"),
        (TRADE, b"BTCUSDT", b"btcusdt", "unknown topic"),
        (TRADE, b'"Buy"', b'"buy"', "Invalid enum value 'buy'"),
        (TRADE, b'"snapshot"', b'"delta"', "Invalid enum value 'delta'"),
        (TRADE, b'"T":1672304486865', b'"T":"1672304486865"', "Expected `int`"),
        (TRADE, b'"T":1672304486865', b'"T":1672304486', "trade time 1672304486 is neither ms nor"),
        (TRADE, b'"ts":1672304486868', b'"ts":4102444800000', "event time 4102444800000 is neither ms nor"),
        (TRADE, b'"p":"16578.50"', b'"p":"NaN"', "price 'NaN' is not a plain decimal"),
        (TRADE, b'"p":"16578.50"', b'"p":16578.50', "Expected `str`"),
        (TRADE, b'"v":"0.001"', b'"v":"0"', "size '0' is not above 0"),
        (TRADE, b'"v":"0.001"', b'"v":"9000000000000"', "more than 10^14"),
        (TRADE, b'"i":"20f43950-d8dd-5b31-9112-a178eb6023af"', b'"i":""', "trade id ''"),
        (TRADE, b'"i":"20f43950-d8dd-5b31-9112-a178eb6023af"', b'"i":"9223372036854775808"', "trade id"),
        (TRADE, b'"v":"0.001",', b"", "missing required field `v`"),
        (TRADE, b'"v":"0.001"', b'"v":"0.001","v":"0.002"', "member 'v' stands twice"),
        (TRADE, b'"topic"', b'"op":"subscribe","topic"', "unknown topic"),
        (TRADE, b'"BT":false', b'"BT":' + b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (TRADE, b'"BT":false', b'"BT":"\xff"', "not a frame"),
        (KLINE, b"kline.5.", b"kline.15.", "kline '5' on a topic of '15'"),
        (KLINE, b'kline.5.BTCUSDT","data":[{"', b'kline.7.BTCUSDT","data":[{"', "kline '5' on a topic of '7'"),
        (KLINE, b'"start":1672324800000', b'"start":1672324800001', "no start of that timeframe"),
        (KLINE, b'"end":1672325099999', b'"end":1672325100000', "ends elsewhere: 1672325100000"),
        (KLINE, b'"low":"16608"', b'"low":"16678"', "beyond its low or high"),
        (KLINE, b'"volume":"2.081"', b'"volume":"-1"', "volume '-1' is not a plain decimal"),
        (KLINE, b'"turnover":"34666.4005"', b'"turnover":"1e9"', "turnover '1e9' is not a plain decimal"),
        (KLINE, b'"confirm":false', b'"confirm":0', "Expected `bool`"),
        (BOOK, b'"snapshot"', b'"delta"', "Invalid enum value 'delta'"),
        (BOOK, b'"s":"BTCUSDT"', b'"s":"ETHUSDT"', "a topic of BTCUSDT brought 'ETHUSDT'"),
        (BOOK, b'[["16578.00","2.113"]]', b'[["16578.00","2.113"],["16577.00","1"]]', "2 levels of bid"),
        (BOOK, b'"16578.50","0.029"', b'"0","0.029"', "ask '0' is not above 0"),
        (BOOK, b'"16578.50","0.029"', b'"16578.50","0"', "ask size '0' is not above 0"),
        (BOOK, b'"seq":7961638724', b'"seq":0', "cross sequence 0"),
        (BOOK, b'"cts":1672304484976', b'"cts":1', "matching time 1"),
        (TICKER, b'"symbol":"BTCUSDT"', b'"symbol":"ETHUSDT"', "a topic of BTCUSDT brought 'ETHUSDT'"),
        (TICKER, b'"16577.91"', b'"0"', "mark price '0' is not above 0"),
        (TICKER, b'"16580.02"', b'"x"', "index price 'x' is not a plain decimal"),
        (TICKER, b'"-0.000212"', b'"11"', "funding rate '11' is not between"),
        (TICKER, b'"1672329600000"', b'"soon"', "funding time 'soon' is not a whole number"),
        (TICKER, b'"1672329600000"', b'"1"', "funding time 1 is neither ms nor"),
        (PONG, b'"success":true', b'"success":false', "neither data of a topic nor an answer"),
        (ACCEPTED, b'"op":"subscribe"', b'"op":"auth"', "neither data of a topic nor an answer"),
        (ACCEPTED, b'"success":true,', b"", "neither data of a topic nor an answer"),
        (ACCEPTED, b'"op":"subscribe"', b'"request":{"op":"subscribe"}', "neither data of a topic nor an answer"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(frame: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in frame
    with pytest.raises(MalformedFrame) as refused:
        LINEAR.parse(frame.replace(old, new), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("frame", [b"", b"null", b"1", b"[]", b"{}", b"pong", b"<html></html>", b"[" * 10**6])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        SPOT.parse(frame, 5)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_parse_is_total(frame: bytes) -> None:
    # Among what is drawn are constants of our own code, and whole frames among those.
    with contextlib.suppress(MalformedFrame):
        assert all(isinstance(message, get_args(Message)) for message in LINEAR.parse(frame, 5))


def test_parse_is_total_around_real_frames() -> None:
    chance, pieces = random.Random(25), [b'"', b"1e999", b"-0", b"\\u0000", b"{", b"]", b",", b"null", b"\xc3", b""]
    read = 0
    for _ in range(4000):
        frame = bytearray(chance.choice(FRAMES))
        for _ in range(chance.randint(1, 3)):
            low = chance.randrange(len(frame) + 1)
            frame[low : low + chance.randint(0, 8)] = chance.choice([*pieces, chance.randbytes(3)])
        for market in (SPOT, LINEAR, INVERSE):
            try:
                read += len(market.parse(bytes(frame), 5)) >= 0
            except MalformedFrame as error:
                assert len(str(error)) < 300  # noqa: PT017 - either way is right, a long text is not
    assert read > 100
