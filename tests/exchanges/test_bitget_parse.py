import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from core.instruments import Instrument
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Quote, Trade
from exchanges.registry import venue

SPOT, USDT = venue("bitget"), venue("bitget-usdt")
FRAMES = (Path(__file__).parents[1] / "fixtures/bitget.jsonl").read_bytes().splitlines()
ACK, GONE, ERROR, PONG, SNAPSHOT, UPDATE, CANDLE, TICKER = FRAMES
FUTURES_TICKER = (
    b'{"action":"snapshot","arg":{"instType":"USDT-FUTURES","channel":"ticker","instId":"BTCUSDT"},"data":[{'
    b'"instId":"BTCUSDT","lastPr":"27000.5","bidPr":"27000","askPr":"27000.5","bidSz":"2.71","askSz":"8.76",'
    b'"fundingRate":"-0.000010","nextFundingTime":"1695722400000","markPrice":"27000.0","indexPrice":"25702.4",'
    b'"symbolType":1,"symbol":"BTCUSDT","deliveryPrice":"0","ts":"1695715383021"}],"ts":1695715383039}'
)
ALL = [*FRAMES, FUTURES_TICKER, *(frame.replace(b'"SPOT"', b'"USDT-FUTURES"') for frame in FRAMES)]


def read(frame: bytes) -> Message:
    (message,) = SPOT.parse(frame, 5)
    return message


@pytest.mark.parametrize("frame", [SNAPSHOT, UPDATE])
def test_a_trade_says_what_the_documentation_says(frame: bytes) -> None:
    wanted = Trade(
        "bitget:BTC-USDT",
        "execution",
        1116461060594286593,
        1_701_910_980_366_000,
        1_701_910_980_730_000,
        "43854.01",
        "0.0535",
        "buy",
        1,
    )
    assert read(frame) == wanted
    (future,) = USDT.parse(frame.replace(b'"SPOT"', b'"USDT-FUTURES"').replace(b"buy", b"sell"), 5)
    assert future == msgspec.structs.replace(wanted, instrument="bitget:BTC-USDT-PERP", side="sell")


@given(st.lists(st.integers(1, 10**6), unique=True, min_size=1, max_size=8).map(sorted), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_snapshot_is_told_oldest_first(ids: list[int], snapshot: bool) -> None:
    rows = [{"ts": str(1_701_910_980_000 + number), "price": "2", "size": "1", "side": "buy", "tradeId": str(number)}
            for number in reversed(ids)]  # fmt: skip
    frame = msgspec.json.decode(SNAPSHOT) | {"data": rows, "action": "snapshot" if snapshot else "update"}
    assert [trade.id for trade in SPOT.parse(msgspec.json.encode(frame), 5)] == ids


def test_candle_is_never_said_to_be_closed() -> None:
    assert read(CANDLE) == Kline(
        instrument="bitget:BTC-USDT",
        timeframe="1m",
        start=1_701_871_620_000_000,
        sent=1_701_901_610_417_000,
        open="44080.23",
        high="44080.23",
        low="44028.5",
        close="44028.51",
        volume="9.9287",
        quote_volume="437404.105512",
        trade_count=None,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        first_id=None,
        last_id=None,
        closed=None,
    )


def test_quote_volume_of_a_frame_comes_before_the_one_in_usdt() -> None:
    kline = read(CANDLE.replace(b'"437404.105512","437404.105512"', b'"1.5","437404.1"'))
    assert isinstance(kline, Kline)
    assert kline.quote_volume == "1.5"


@pytest.mark.parametrize(
    ("channel", "start", "timeframe"),
    [
        (b"candle1Dutc", 1_701_820_800_000, "1d"),
        (b"candle1Wutc", 1_701_648_000_000, "1w"),
        (b"candle1Mutc", 1_701_388_800_000, "1M"),
        (b"candle12Hutc", 1_701_820_800_000, "12h"),
        (b"candle1H", 1_701_820_800_000, "1h"),
    ],
)
def test_long_candles_are_those_of_utc(channel: bytes, start: int, timeframe: str) -> None:
    kline = read(CANDLE.replace(b"candle1m", channel).replace(b"1701871620000", str(start).encode()))
    assert isinstance(kline, Kline)
    assert (kline.timeframe, kline.start) == (timeframe, start * 1000)


def test_ticker_is_a_quote_and_of_futures_a_mark_price_too() -> None:
    times = (1_701_842_994_338_000, 1_701_842_994_341_000)
    assert read(TICKER) == Quote("bitget:BTC-USDT", 0, *times, "43528", "0.0334", "43528.01", "0.1917")
    times = (1_695_715_383_021_000, 1_695_715_383_039_000)
    assert USDT.parse(FUTURES_TICKER, 5) == [
        Quote("bitget:BTC-USDT-PERP", 0, *times, "27000", "2.71", "27000.5", "8.76"),
        MarkPrice("bitget:BTC-USDT-PERP", *times, "27000.0", "25702.4", "-0.000010", 1_695_722_400_000_000),
    ]


def test_what_does_not_apply_to_a_contract_is_none() -> None:
    bare = FUTURES_TICKER.replace(b'"-0.000010"', b'""').replace(b'"1695722400000"', b'"0"')
    _, mark = USDT.parse(bare.replace(b'"indexPrice":"25702.4",', b""), 5)
    assert isinstance(mark, MarkPrice)
    assert (mark.mark, mark.index, mark.funding_rate, mark.next_funding) == ("27000.0", None, None, None)
    assert USDT.parse(bare.replace(b'"25702.4"', b'"0"'), 5)[1] == mark


def test_answers_name_the_streams_they_are_about() -> None:
    assert read(ACK) == read(GONE) == Ack(None, ("SPOT:trade:BTCUSDT",))
    many = {"op": "unsubscribe", "args": [{"instType": "SPOT", "channel": "ticker", "instId": s} for s in ("A", "B")]}
    assert read(msgspec.json.encode(many)) == Ack(None, ("SPOT:ticker:A", "SPOT:ticker:B"))
    words = "instType:sp,channel:trade,instId:BTCUSDT doesn't exist"
    assert read(ERROR) == ErrorReply(30001, words, None, ("SP:trade:BTCUSDT",))
    named = ERROR.replace(b'"error",', b'"error","arg":{"instType":"SPOT","channel":"x","instId":"Y"},')
    assert read(named.replace(b"30001", b'"30001"')) == ErrorReply(30001, words, None, ("SPOT:x:Y",))
    assert read(b'{"event":"error","code":30003,"msg":"Invalid op"}') == ErrorReply(30003, "Invalid op")


def test_the_heartbeat_and_what_is_not_recorded_give_nothing() -> None:
    assert SPOT.parse(PONG, 5) == []
    for channel in (b"books", b"books15", b"candle1D", b"candle3Dutc"):
        assert SPOT.parse(SNAPSHOT.replace(b'"trade"', b'"' + channel + b'"'), 5) == []


def test_a_listed_instrument_goes_before_what_its_symbol_suggests() -> None:
    listed = venue("bitget", listed={"BTCUSDT": Instrument("bitget", "BTCUS", "DT", native="BTCUSDT")})
    (trade,) = listed.parse(SNAPSHOT, 5)
    assert trade.instrument == "bitget:BTCUS-DT"


@pytest.mark.parametrize(
    ("frame", "old", "new", "reason"),
    [
        (SNAPSHOT, b'"SPOT"', b'"sp"', "type 'sp' in the place of SPOT"),
        (SNAPSHOT, b'"SPOT"', b'"USDT-FUTURES"', "type 'USDT-FUTURES'"),
        (ACK, b'"SPOT"', b'"mc"', "type 'mc'"),
        (ACK, b'"subscribe"', b'"login"', "unknown event"),
        (SNAPSHOT, b'"trade"', b'"fill"', "unknown channel"),
        (SNAPSHOT, b'"snapshot"', b'"delta"', "action"),
        (SNAPSHOT, b',"ts":1701910980730', b"", "neither an event nor data"),
        (SNAPSHOT, b"1701910980730", b"1701910980", "time of the frame"),
        (SNAPSHOT, b'"1701910980366"', b'"1701910980"', "neither ms nor"),
        (SNAPSHOT, b'"1116461060594286593"', b'"20f43950-d8dd"', "not a whole number"),
        (SNAPSHOT, b'"1116461060594286593"', b'"9223372036854775808"', "2^63"),
        (SNAPSHOT, b'"43854.01"', b"43854.01", "data of trade"),
        (SNAPSHOT, b'"43854.01"', b'"4e4"', "not a plain decimal"),
        (SNAPSHOT, b'"0.0535"', b'"0"', "not above 0"),
        (SNAPSHOT, b'"buy"', b'"Buy"', "side"),
        (SNAPSHOT, b'"buy"', b'"buy","size":"1"', "stands twice"),
        (SNAPSHOT, b'"buy"', b'"buy","x":"\xff"', "not a frame"),
        (SNAPSHOT, b'"BTCUSDT"', b'"BTCUSDT_SPBL"', "unknown symbol"),
        (SNAPSHOT, b'"BTCUSDT"', b'"BTCXYZ"', "unknown symbol"),
        (SNAPSHOT, b'"BTCUSDT"', b'"USDT"', "unknown symbol"),
        (CANDLE, b'"1701871620000"', b'"1701871621000"', "no start"),
        (CANDLE, b'"44028.51"', b'"44028.49"', "beyond its low or high"),
        (CANDLE, b'"9.9287"', b'"-1"', "volume"),
        (TICKER, b'{"instId":"BTCUSDT"', b'{"instId":"ETHUSDT"', "brought 'ETHUSDT'"),
        (TICKER, b'"43528"', b'""', "bid ''"),
        (TICKER, b'"bidSz"', b'"sz"', "bidSz"),
        (ERROR, b'"code":30001,', b"", "without a code"),
    ],
    ids=lambda value: repr(value[:20]),
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(frame: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in frame
    with pytest.raises(MalformedFrame) as refused:
        SPOT.parse(frame.replace(old, new), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new"), [(b"-0.000010", b"11"), (b"27000.0", b"x"), (b"1695722400000", b"1"), (b"25702.4", b"-1")]
)
def test_a_mark_price_that_cannot_be_trusted_is_refused(old: bytes, new: bytes) -> None:
    assert old in FUTURES_TICKER
    with pytest.raises(MalformedFrame):
        USDT.parse(FUTURES_TICKER.replace(old, new), 5)


@pytest.mark.parametrize(
    "frame",
    [b"", b"null", b"1", b"[]", b"{}", b"ping", b"<html></html>", b"[" * 10**6, b'{"arg":{}}', b'{"op":"subscribe"}'],
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    for market in (SPOT, USDT):
        with pytest.raises(MalformedFrame):
            market.parse(frame, 5)


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
    for market in (SPOT, USDT):
        try:
            market.parse(bytes(frame), 5)
        except MalformedFrame as error:
            assert len(str(error)) < 300  # noqa: PT017 - either way is right, a long text is not


def test_thousands_of_mutated_frames_give_messages_or_are_refused() -> None:
    dice, counts = random.Random(5), {True: 0, False: 0}
    for _ in range(4000):
        frame = bytearray(dice.choice(ALL))
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(frame) + 1)
            frame[at : at + dice.randint(0, 3)] = dice.choice(
                [b"", b'"', b",", b"0", b"9", b"-", b"\xff", b"{", b"]"]
            )
        for market in (SPOT, USDT):
            try:
                market.parse(bytes(frame), 5)
                counts[True] += 1
            except MalformedFrame:
                counts[False] += 1
    assert counts[True] > 300
    assert counts[False] > 2000
