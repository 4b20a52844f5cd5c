import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from core.instruments import Instrument
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Quote, Shutdown, Trade
from exchanges.registry import venue

OKX = venue("okx")
FRAMES = (Path(__file__).parents[1] / "fixtures/okx.jsonl").read_bytes().splitlines()
ACK, _, _, ERROR, NOTICE, PONG, MERGED, CAPTURED, TRADE, CANDLE_OF_UTC8, CANDLE, BOOK = FRAMES
MARK = (
    b'{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP",'
    b'"instId":"BTC-USDT-SWAP","markPx":"42310.6","ts":"1630049139746"}]}'
)
INDEX = (
    b'{"arg":{"channel":"index-tickers","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","idxPx":"42311.1",'
    b'"open24h":"41000","ts":"1630049139746"}]}'
)
FUNDING = (
    b'{"arg":{"channel":"funding-rate","instId":"BTC-USD-SWAP"},"data":[{"fundingRate":"-0.0001875391284828",'
    b'"fundingTime":"1700726400000","instId":"BTC-USD-SWAP","instType":"SWAP","method":"next_period",'
    b'"nextFundingRate":"","nextFundingTime":"1700755200000","ts":"1700724675402"}]}'
)
ALL = [*FRAMES, MARK, INDEX, FUNDING]


def read(frame: bytes) -> Message:
    (message,) = OKX.parse(frame, 5)
    return message


def test_a_fill_says_what_the_documentation_says() -> None:
    time = 1_630_048_897_897_000
    assert read(TRADE) == Trade("okx:BTC-USDT", "trade", 130639474, time, time, "42219.9", "0.12060306", "buy", 1)


def test_merged_fills_have_the_id_of_the_last_and_say_how_many_they_are() -> None:
    time = 1_630_048_897_897_000
    assert read(MERGED) == Trade("okx:BTC-USDT", "merged", 130639474, time, time, "42219.9", "0.12060306", "buy", 3)
    time = 1_652_459_199_958_000
    assert read(CAPTURED) == Trade("okx:BTC-USD-20220527", "merged", 7849, time, time, "30218.8", "1", "buy", 1)
    assert read(CAPTURED.replace(b"buy", b"sell")).side == "sell"


def test_quote_is_the_top_of_the_book_and_an_empty_side_is_zero() -> None:
    time = 1_597_026_383_085_000
    assert read(BOOK) == Quote("okx:BTC-USDT", 123456, time, time, "8476.97", "256", "8476.98", "415")
    bare = BOOK.replace(b'[["8476.98","415","0","13"]]', b"[]").replace(b',"seqId":123456', b"")
    assert read(bare) == Quote("okx:BTC-USDT", 0, time, time, "8476.97", "256", "0", "0")


def test_candle_is_closed_where_okx_confirms_it() -> None:
    wanted = Kline(
        instrument="okx:BTC-USDT",
        timeframe="1m",
        start=1_597_026_360_000_000,
        sent=5,
        open="8533.02",
        high="8553.74",
        low="8527.17",
        close="8548.26",
        volume="45247",
        quote_volume="5529.5858061",
        trade_count=None,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        first_id=None,
        last_id=None,
        closed=False,
    )
    assert read(CANDLE) == wanted
    assert read(CANDLE.replace(b'"0"]', b'"1"]')) == msgspec.structs.replace(wanted, closed=True)


@pytest.mark.parametrize(
    ("channel", "start", "timeframe"),
    [
        (b"candle1Dutc", 1_596_931_200_000, "1d"),
        (b"candle1Wutc", 1_596_412_800_000, "1w"),
        (b"candle1Mutc", 1_596_240_000_000, "1M"),
        (b"candle6Hutc", 1_596_931_200_000, "6h"),
        (b"candle4H", 1_596_931_200_000, "4h"),
        (b"candle1s", 1_596_931_201_000, "1s"),
    ],
)
def test_long_candles_are_those_of_utc(channel: bytes, start: int, timeframe: str) -> None:
    frame = CANDLE.replace(b"candle1m", channel).replace(b"1597026360000", str(start).encode())
    kline = read(frame)
    assert isinstance(kline, Kline)
    assert (kline.timeframe, kline.start) == (timeframe, start * 1000)


def test_mark_price_index_and_funding_each_tell_their_part() -> None:
    time = 1_630_049_139_746_000
    assert read(MARK) == MarkPrice("okx:BTC-USDT-PERP", time, time, "42310.6", None, None, None)
    assert read(INDEX) == MarkPrice("okx:BTC-USDT-PERP", time, time, None, "42311.1", None, None)
    time = 1_700_724_675_402_000
    assert read(FUNDING) == MarkPrice(
        "okx:BTC-USD-PERP", time, time, None, None, "-0.0001875391284828", 1_700_726_400_000_000
    )
    (early,) = OKX.parse(FUNDING.replace(b',"ts":"1700724675402"', b""), 7)
    assert (early.time, early.sent) == (7, 7)


def test_answers_name_the_streams_they_are_about() -> None:
    assert read(ACK) == Ack("1512", ("trades:BTC-USDT",))
    assert read(FRAMES[1]) == Ack(None, ("tickers:BTC-USD-220527",))
    assert read(FRAMES[2]) == Ack(None, ("trades:BTC-USDT",))
    refused = read(ERROR)
    assert isinstance(refused, ErrorReply)
    assert (refused.code, refused.streams, refused.id) == (60012, None, None)
    words = "Wrong URL or channel:trades-all,instId:FOO-USDT doesn't exist. Please use the correct URL"
    frame = msgspec.json.encode({"id": "2", "event": "error", "code": 60018, "msg": words})
    assert read(frame) == ErrorReply(60018, words, "2", ("trades-all:FOO-USDT",))


def test_what_goes_with_a_mark_price_is_neither_acknowledged_nor_refused_for_itself() -> None:
    for channel in (b"funding-rate", b"index-tickers"):
        assert OKX.parse(ACK.replace(b'"trades"', b'"' + channel + b'"'), 5) == []
        words = (
            b'{"event":"error","code":"60018","msg":"Wrong URL or channel:%s,instId:A-B doesn\'t exist."}' % channel
        )
        assert OKX.parse(words, 5) == []


def test_notices_the_heartbeat_and_what_is_not_recorded() -> None:
    assert read(NOTICE) == Shutdown(5)
    assert OKX.parse(NOTICE.replace(b"64008", b"64000"), 5) == []
    assert OKX.parse(PONG, 5) == []
    assert (
        OKX.parse(b'{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"a4d3ae55"}', 5) == []
    )
    assert OKX.parse(CANDLE_OF_UTC8, 5) == []
    for channel in (b"books", b"books5", b"tickers", b"candle3D", b"candle5Dutc"):
        assert OKX.parse(BOOK.replace(b"bbo-tbt", channel), 5) == []


def test_a_listed_instrument_goes_before_what_its_symbol_suggests() -> None:
    listed = venue("okx", listed={"BTC-USDT": Instrument("okx", "XBT", "USDT", native="BTC-USDT")})
    (trade,) = listed.parse(TRADE, 5)
    assert trade.instrument == "okx:XBT-USDT"


@pytest.mark.parametrize(
    ("frame", "old", "new", "reason"),
    [
        (TRADE, b'"130639474"', b'"0"', "trade id 0"),
        (TRADE, b'"130639474"', b'"13x"', "not a whole number"),
        (TRADE, b'"130639474"', b"130639474", "trades-all"),
        (TRADE, b'"130639474"', b'"9223372036854775808"', "2^63"),
        (TRADE, b'"42219.9"', b'"-1"', "not a plain decimal"),
        (TRADE, b'"42219.9"', b'"0"', "not above 0"),
        (TRADE, b'"0.12060306"', b'"1e-5"', "not a plain decimal"),
        (TRADE, b'"0.12060306"', b'"99999999999"', "more than 10^14"),
        (TRADE, b'"buy"', b'"Buy"', "side"),
        (TRADE, b'"1630048897897"', b'"1630048897"', "neither ms nor"),
        (TRADE, b'"ts"', b'"time"', "ts"),
        (TRADE, b'"source":"0"', b'"count":"2"', "cannot stand for 2"),
        (TRADE, b'"source":"0"', b'"px":"1"', "stands twice"),
        (TRADE, b'"source":"0"', b'"source":"\xff"', "not a frame"),
        (TRADE, b'"source":"0"', b'"source":' + b"[" * 100_000, "not a frame"),
        (TRADE, b'{"instId":"BTC-USDT"', b'{"instId":"ETH-USDT"', "brought 'ETH-USDT'"),
        (TRADE, b'"BTC-USDT"', b'"BTC-USD-260327-100000-C"', "unknown symbol"),
        (TRADE, b'"BTC-USDT"', b'"BTC-USD-261327"', "unknown symbol"),
        (TRADE, b'"BTC-USDT"', b'"btc-usdt"', "unknown symbol"),
        (TRADE, b"trades-all", b"fills", "unknown channel"),
        (MERGED, b'"count":"3"', b'"count":"0"', "cannot stand for 0"),
        (MERGED, b'"130639474"', b'"2"', "cannot stand for 3"),
        (MERGED, b'"count":"3"', b'"count":"2147483648"', "cannot stand for"),
        (BOOK, b'[["8476.98","415","0","13"]]', b'[["1","1"],["2","1"]]', "more than one ask"),
        (BOOK, b'"8476.97"', b'"0"', "bid '0'"),
        (BOOK, b"123456", b"-1", "book update"),
        (CANDLE, b'"1597026360000"', b'"1597026361000"', "no start"),
        (CANDLE, b'"8548.26"', b'"8553.75"', "beyond its low or high"),
        (CANDLE, b',"0"]', b',"2"]', "candle1m"),
        (CANDLE, b',"0"]', b"]", "candle1m"),
        (CANDLE, b'"5529.5858061"', b'""', "quote volume"),
        (MARK, b'"42310.6"', b'""', "mark price"),
        (INDEX, b'"42311.1"', b'"NaN"', "index price"),
        (FUNDING, b'"-0.0001875391284828"', b'"--1"', "funding rate"),
        (FUNDING, b'"-0.0001875391284828"', b'"10"', "funding rate"),
        (NOTICE, b',"code":"64008"', b"", "without a code"),
        (ERROR, b'"60012"', b'"x"', "code 'x'"),
        (ACK, b'"subscribe"', b'"login"', "unknown event"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(frame: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in frame
    with pytest.raises(MalformedFrame) as refused:
        OKX.parse(frame.replace(old, new), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "frame",
    [b"", b"null", b"1", b"[]", b"{}", b"ping", b"<html></html>", b"[" * 10**6, b'{"arg":{}}', b'{"data":[]}'],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        OKX.parse(frame, 5)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_parse_is_total_around_real_frames(data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(ALL)))
    for _ in range(data.draw(st.integers(1, 4))):
        low = data.draw(st.integers(0, len(frame)))
        high = min(len(frame), low + data.draw(st.integers(0, 12)))
        frame[low:high] = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b'"', b"1e999", b"[]", b"null"]))
        )
    try:
        OKX.parse(bytes(frame), 5)
    except MalformedFrame as error:
        assert len(str(error)) < 300  # noqa: PT017 - either way is right, a long text is not


def test_thousands_of_mutated_frames_give_messages_or_are_refused() -> None:
    dice, read, refused = random.Random(5), 0, 0
    for _ in range(5000):
        frame = bytearray(dice.choice(ALL))
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(frame) + 1)
            frame[at : at + dice.randint(0, 3)] = dice.choice(
                [b"", b'"', b",", b"0", b"9", b"-", b"\xff", b"{", b"]"]
            )
        try:
            OKX.parse(bytes(frame), 5)
            read += 1
        except MalformedFrame:
            refused += 1
    assert read > 300
    assert refused > 2000
