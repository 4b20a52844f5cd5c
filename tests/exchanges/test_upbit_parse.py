import contextlib
import random
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges.messages import ErrorReply, Kline, Message, Quote, Trade
from exchanges.registry import venue

UPBIT = venue("upbit")
FRAMES = (Path(__file__).parents[1] / "fixtures/upbit.jsonl").read_bytes().splitlines()
TRADE, SHORT, UP, ERROR, BOOK, SHORT_BOOK, CANDLE, TICKER = FRAMES
WHOLE_SHORT = SHORT.replace(b'"tms"', b'"ttms":1618678262000,"tms"')


def test_trade_says_what_the_documentation_says() -> None:
    assert UPBIT.parse(TRADE, 5) == [
        Trade(
            instrument="upbit:BTC-KRW",
            id_space="execution",
            id=17877285547970000,
            time=1_787_728_554_797_000,
            sent=1_787_728_554_853_000,
            price="109847000.0",
            size="0.00509799",
            side="sell",
            fills=1,
        )
    ]


def test_short_names_say_the_same_and_nothing_is_guessed_of_what_is_trimmed() -> None:
    (trade,) = UPBIT.parse(WHOLE_SHORT, 5)
    assert (trade.instrument, trade.id, trade.price, trade.size, trade.side) == (
        "upbit:LAMB-KRW", 1618678262000003, "127.0", "46.48838371", "buy"
    )  # fmt: skip
    assert (trade.time, trade.sent) == (1_618_678_262_000_000, 1_618_678_262_712_000)
    with pytest.raises(MalformedFrame, match="missing required field `ttms`"):
        UPBIT.parse(SHORT, 5)


def test_quote_is_the_first_level_of_the_book() -> None:
    time = 1_787_728_554_899_000
    expected = Quote("upbit:BTC-KRW", 0, time, time, "109847000.0", "0.1583673", "109867000.0", "0.0099545")
    assert UPBIT.parse(BOOK, 5) == [expected]
    (quote,) = UPBIT.parse(SHORT_BOOK, 5)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (
        "126.0",
        "688682.44561413",
        "127.0",
        "280460.37885666",
    )
    start, end = BOOK.index(b"[") + 1, BOOK.index(b"]")
    (quote,) = UPBIT.parse(BOOK[:start] + BOOK[end:], 5)
    assert (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == ("0", "0", "0", "0")


def test_a_book_of_rounded_prices_is_no_quote() -> None:
    assert UPBIT.parse(BOOK.replace(b'"level":0', b'"level":10000'), 5) == []


def test_candle_says_what_the_documentation_says_and_not_whether_it_is_closed() -> None:
    assert UPBIT.parse(CANDLE, 5) == [
        Kline(
            instrument="upbit:BTC-KRW",
            timeframe="1m",
            start=1_787_728_500_000_000,
            sent=1_787_728_554_853_000,
            open="109852000.0",
            high="109867000.0",
            low="109847000.0",
            close="109847000.0",
            volume="0.71326612",
            quote_volume="78269528.64757",
            trade_count=None,
            taker_buy_volume=None,
            taker_buy_quote_volume=None,
            first_id=None,
            last_id=None,
            closed=None,
        )
    ]
    (kline,) = UPBIT.parse(CANDLE.replace(b"candle.1m", b"candle.60m").replace(b"T07:15:00", b"T07:00:00"), 5)
    assert (kline.timeframe, kline.start) == ("1h", 1_787_727_600_000_000)


def test_sums_of_doubles_lose_what_is_beyond_18_decimals() -> None:
    summed = CANDLE.replace(b"0.71326612", b"0.30000000000000004").replace(
        b"78269528.64757", b"0.0035613399999999996"
    )
    (kline,) = UPBIT.parse(summed, 5)
    assert (kline.volume, kline.quote_volume) == ("0.30000000000000004", "0.003561340000000000")


def test_a_candle_in_short_names() -> None:
    short = CANDLE
    for long_name, name in (
        ("type", "ty"), ("code", "cd"), ("candle_date_time_utc", "cdttmu"), ("opening_price", "op"),
        ("high_price", "hp"), ("low_price", "lp"), ("trade_price", "tp"), ("candle_acc_trade_volume", "catv"),
        ("candle_acc_trade_price", "catp"), ("timestamp", "tms"),
    ):  # fmt: skip
        short = short.replace(f'"{long_name}":'.encode(), f'"{name}":'.encode())
    assert UPBIT.parse(short, 5) == UPBIT.parse(CANDLE, 5)


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        (UP, []),
        (TICKER, []),
        (CANDLE.replace(b"candle.1m", b"candle.10m"), []),
        (ERROR, [ErrorReply(0, "WRONG_FORMAT: …")]),
        (ERROR.replace(b'"WRONG_FORMAT"', b"400"), [ErrorReply(0, "400: …")]),
    ],
)
def test_states_errors_and_what_is_passed_over(frame: bytes, messages: list[object]) -> None:
    assert UPBIT.parse(frame, 5) == messages


def test_numbers_keep_the_venues_digits_and_lose_their_exponent() -> None:
    (trade,) = UPBIT.parse(TRADE.replace(b"109847000.0", b"1.2E-7").replace(b"0.00509799", b"5E+2"), 5)
    assert (trade.price, trade.size) == ("0.00000012", "500")
    # As a double it would be 0.30000000000000004.
    (trade,) = UPBIT.parse(TRADE.replace(b"109847000.0", b"0.300000000000000"), 5)
    assert trade.price == "0.300000000000000"


@pytest.mark.parametrize(
    ("frame", "old", "new", "reason"),
    [
        (TRADE, b'"type":"trade"', b'"type":"tirade"', "unknown type 'tirade'"),
        (TRADE, b'"type":"trade"', b'"type":"trade","ty":"trade"', "neither data of one type"),
        (TRADE, b'"type":"trade"', b'"type":"trade","status":"UP"', "neither data of one type"),
        (TRADE, b'"KRW-BTC"', b'"KRWBTC"', "unknown market 'KRWBTC'"),
        (TRADE, b'"KRW-BTC"', b'"krw-btc"', "unknown market"),
        (TRADE, b'"KRW-BTC"', b'"../../x"', "unknown market"),
        (TRADE, b'"ASK"', b'"SELL"', "Invalid enum value 'SELL'"),
        (TRADE, b"17877285547970000", b"0", "trade id 0"),
        (TRADE, b"17877285547970000", b"9223372036854775808", "trade id"),
        (TRADE, b"17877285547970000", b'"17877285547970000"', "Expected `int`"),
        (TRADE, b"17877285547970000", b"1.7877285547970000e16", "Expected `int`"),
        (TRADE, b"1787728554797,", b"1787728554,", "trade time 1787728554 is neither ms nor"),
        (TRADE, b"1787728554853", b"-1", "event time -1"),
        (TRADE, b"109847000.0", b'"109847000.0"', "is not a JSON number"),
        (TRADE, b"109847000.0", b"null", "is not a JSON number"),
        (TRADE, b"109847000.0", b"1e400", "is not a JSON number"),
        (TRADE, b"109847000.0", b"-5", "price '-5' is not a plain decimal"),
        (TRADE, b"109847000.0", b"0.0", "price '0.0' is not above 0"),
        (TRADE, b"109847000.0", b"NaN", "not a frame"),
        (TRADE, b"0.00509799", b"0", "size '0' is not above 0"),
        (TRADE, b"0.00509799", b"1234567.890123456", "more than 15 significant digits"),
        (TRADE, b'"trade_volume":0.00509799,', b"", "missing required field `trade_volume`"),
        (TRADE, b'"trade_volume":0.00509799', b'"trade_volume":1,"trade_volume":2', "stands twice"),
        (TRADE, b'"RISE"', b'"\xff"', "not a frame"),
        (TRADE, b'"RISE"', b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (BOOK, b'"ask_price":109867000.0', b'"ask_price":-1', "ask '-1' is not a plain decimal"),
        (BOOK, b'"bid_size":0.1583673', b'"bid_size":true', "is not a JSON number"),
        (BOOK, b'"level":0', b'"level":"0"', "Expected `float`"),
        (CANDLE, b"candle.1m", b"candle.7m", "unknown type 'candle.7m'"),
        (CANDLE, b"candle.1m", b"candle.60m", "no start of that timeframe"),
        (CANDLE, b"2026-08-26T07:15:00", b"2026-08-26T07:15:00Z", "is not written"),
        (CANDLE, b"2026-08-26T07:15:00", b"2026-02-30T07:15:00", "is no time"),
        (CANDLE, b"2026-08-26T07:15:00", b"1926-08-26T07:15:00", "start of the kline"),
        (CANDLE, b'"low_price":109847000.0', b'"low_price":109848000.0', "beyond its low or high"),
        (CANDLE, b"0.71326612", b"-0.7", "volume '-0.7' is not a plain decimal"),
        (UP, b"UP", b"DOWN", "Invalid enum value 'DOWN'"),
        (ERROR, b'"name":"WRONG_FORMAT",', b"", "missing required field `name`"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(frame: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in frame
    with pytest.raises(MalformedFrame) as refused:
        UPBIT.parse(frame.replace(old, new), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("frame", [b"", b"null", b"1", b"[]", b"{}", b"PONG", b"<html></html>", b"[" * 10**6])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        UPBIT.parse(frame, 5)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_parse_is_total(frame: bytes) -> None:
    # Among what is drawn are constants of our own code, and whole frames among those.
    with contextlib.suppress(MalformedFrame):
        assert all(isinstance(message, get_args(Message)) for message in UPBIT.parse(frame, 5))


def test_parse_is_total_around_real_frames() -> None:
    chance, pieces = (
        random.Random(62),
        [b'"', b"1e999", b"-0", b"\\u0000", b"{", b"]", b",", b"null", b"\xc3", b"9", b""],
    )
    read = 0
    for _ in range(5000):
        frame = bytearray(chance.choice([*FRAMES, WHOLE_SHORT]))
        for _ in range(chance.randint(1, 3)):
            low = chance.randrange(len(frame) + 1)
            frame[low : low + chance.randint(0, 8)] = chance.choice([*pieces, chance.randbytes(3)])
        try:
            read += len(UPBIT.parse(bytes(frame), 5)) >= 0
        except MalformedFrame as error:
            assert len(str(error)) < 300  # noqa: PT017 - either way is right, a long text is not
    assert read > 100
