import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame
from exchanges.messages import Ack, ErrorReply, Kline, Quote, Shutdown, Trade
from exchanges.registry import venue

SPOT, USDM, SIMULATED = venue("binance"), venue("binance-usdm"), venue("simulated")
TRADE = (
    b'{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",'
    b'"T":1672515782135,"m":true,"M":true}'
)
AGGREGATE = (
    b'{"e":"aggTrade","E":1672515782136,"s":"ETHUSDT","a":26129,"p":"1196.58000000","q":"4.70443515",'
    b'"f":27781,"l":27783,"T":1672515782134,"m":false,"M":true}'
)
QUOTE = b'{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}'
BODY = (
    b'{"t":1672515780000,"T":1672515839999,"s":"BNBBTC","i":"1m","f":100,"L":200,"o":"0.0010","c":"0.0020",'
    b'"h":"0.0025","l":"0.0015","v":"1000","n":100,"x":false,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}'
)
KLINE = b'{"e":"kline","E":1672515782136,"s":"BNBBTC","k":' + BODY + b"}"


def combined(stream: str, data: bytes) -> bytes:
    return b'{"stream":"' + stream.encode() + b'","data":' + data + b"}"


@pytest.mark.parametrize("frame", [TRADE, combined("bnbbtc@trade", TRADE)])
def test_trade_says_what_the_documentation_says(frame: bytes) -> None:
    assert SPOT.parse(frame, 5) == [
        Trade(
            instrument="binance:BNB-BTC",
            id_space="trade",
            id=12345,
            time=1_672_515_782_135_000,
            sent=1_672_515_782_136_000,
            price="0.001",
            size="100",
            side="sell",
            fills=1,
        )
    ]


def test_aggregate_counts_its_fills_in_its_own_id_space() -> None:
    (trade,) = USDM.parse(AGGREGATE, 5)
    assert isinstance(trade, Trade)
    assert (trade.instrument, trade.id_space, trade.id) == ("binance:ETH-USDT-PERP", "aggregate", 26129)
    assert (trade.side, trade.fills, trade.price, trade.size) == ("buy", 3, "1196.58000000", "4.70443515")


def test_quote_of_spot_has_the_time_of_receipt_and_of_futures_its_own() -> None:
    (quote,) = SPOT.parse(QUOTE, 77)
    assert quote == Quote(
        "binance:BNB-USDT", 400900217, 77, 77, "25.35190000", "31.21000000", "25.36520000", "40.66000000"
    )
    (quote,) = USDM.parse(QUOTE[:-1] + b',"e":"bookTicker","T":1672515782012,"E":1672515782017}', 77)
    assert isinstance(quote, Quote)
    assert (quote.time, quote.sent) == (1_672_515_782_012_000, 1_672_515_782_017_000)


def test_kline_says_what_the_documentation_says() -> None:
    (kline,) = SPOT.parse(combined("bnbbtc@kline_1m", KLINE), 5)
    assert kline == Kline(
        instrument="binance:BNB-BTC",
        timeframe="1m",
        start=1_672_515_780_000_000,
        sent=1_672_515_782_136_000,
        open="0.0010",
        high="0.0025",
        low="0.0015",
        close="0.0020",
        volume="1000",
        quote_volume="1.0000",
        trade_count=100,
        taker_buy_volume="500",
        taker_buy_quote_volume="0.500",
        first_id=100,
        last_id=200,
        closed=False,
    )


def test_kline_without_trades_has_no_ids() -> None:
    empty = KLINE.replace(b'"f":100,"L":200', b'"f":-1,"L":-1').replace(b'"n":100', b'"n":0')
    (kline,) = SPOT.parse(empty.replace(b'"v":"1000"', b'"v":"0"'), 5)
    assert isinstance(kline, Kline)
    assert (kline.first_id, kline.last_id, kline.trade_count, kline.volume) == (None, None, 0, "0")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b'{"result":null,"id":1}', Ack(1)),
        (b'{"result":["btcusdt@aggTrade"],"id":"a"}', Ack("a")),
        (b'{"code":2,"msg":"Invalid request"}', ErrorReply(2, "Invalid request")),
        (b'{"error":{"code":3,"msg":"Invalid JSON"},"id":9}', ErrorReply(3, "Invalid JSON", 9)),
        (b'{"e":"serverShutdown","E":1672515782136}', Shutdown(1_672_515_782_136_000)),
        (
            combined("!serverShutdown", b'{"e":"serverShutdown","E":1672515782136}'),
            Shutdown(1_672_515_782_136_000),
        ),
    ],
)
def test_replies_and_notices(frame: bytes, message: object) -> None:
    assert SPOT.parse(frame, 5) == [message]


@pytest.mark.parametrize("time", [b"1672515782135", b"1672515782135000"])
def test_times_in_ms_and_in_us_are_told_apart(time: bytes) -> None:
    (trade,) = SPOT.parse(TRADE.replace(b'"T":1672515782135', b'"T":' + time), 5)
    assert isinstance(trade, Trade)
    assert trade.time == 1_672_515_782_135_000


def test_what_the_venue_wrote_is_kept_whatever_the_order_and_the_spaces() -> None:
    members = list(msgspec.json.decode(TRADE).items())
    for seed in range(20):
        random.Random(seed).shuffle(members)
        text = ", ".join(f'"{k}" : {msgspec.json.encode(v).decode()}' for k, v in members)
        assert SPOT.parse(f" {{ {text} }} ".encode(), 5) == SPOT.parse(TRADE, 5)


def test_every_frame_of_the_fixture_is_read_by_both_markets(fixture_frames: list[bytes]) -> None:
    for market in (SPOT, USDM, SIMULATED):
        counts: dict[str, int] = {}
        for frame in fixture_frames:
            for message in market.parse(frame, 5) or [None]:
                name = type(message).__name__
                counts[name] = counts.get(name, 0) + 1
        assert counts == {
            "Trade": 7, "Quote": 3, "Kline": 1, "MarkPrice": 2, "NoneType": 9, "Ack": 2, "ErrorReply": 2,
            "Shutdown": 2,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"trade"', b'"tirade"', "unknown event 'tirade'"),
        (b'"BNBBTC"', b'"BNBXYZ"', "unknown symbol 'BNBXYZ'"),
        (b'"BNBBTC"', b'"bnbbtc"', "unknown symbol"),
        (b'"BNBBTC"', b'"../../x"', "unknown symbol"),
        (b'"BNBBTC"', b'"BNBBTC_260327"', "unknown symbol"),
        (b'"BNBBTC"', b'"' + "B\u0130TUSDT".encode() + b'"', "unknown symbol"),
        (b'"t":12345', b'"t":0', "trade id 0"),
        (b'"t":12345', b'"t":-5', "trade id -5"),
        (b'"t":12345', b'"t":9223372036854775808', "trade id"),
        (b'"t":12345', b'"t":true', "Expected `int`"),
        (b'"t":12345', b'"t":12345.0', "Expected `int`"),
        (b'"t":12345', b'"t":"12345"', "Expected `int`"),
        (b'"t":12345', b'"t":' + b"9" * 5000, "number"),
        (b'"t":12345', b'"t":null', "Expected `int`"),
        (b'"t":12345,', b"", "missing required field"),
        (b'"m":true', b'"m":1', "Expected `bool`"),
        (b'"p":"0.001"', b'"p":0.001', "Expected `str`"),
        (b'"p":"0.001"', b'"p":NaN', "not a frame"),
        (b'"p":"0.001"', b'"p":"NaN"', "price 'NaN' is not a plain decimal"),
        (b'"p":"0.001"', b'"p":"1e-3"', "price '1e-3' is not a plain decimal"),
        (b'"p":"0.001"', b'"p":"-0.001"', "not a plain decimal"),
        (b'"p":"0.001"', b'"p":".001"', "not a plain decimal"),
        (b'"p":"0.001"', b'"p":"0.001\\n"', "not a plain decimal"),
        (b'"p":"0.001"', b'"p":"' + "٣".encode() + b'"', "not a plain decimal"),
        (b'"p":"0.001"', b'"p":"0.000"', "price '0.000' is not above 0"),
        (b'"p":"0.001"', b'"p":"1000000000000"', "price '1000000000000' is not below"),
        (b'"p":"0.001"', b'"p":"0.1234567890123456"', "price '0.1234567890123456' has more than 15 significant"),
        (b'"q":"100"', b'"q":"0"', "size '0' is not above 0"),
        (b'"q":"100"', b'"q":"10000000000000"', "size '10000000000000' is not below"),
        (b'"q":"100"', b'"q":"0.00000000000000001"', "more than 18 decimals"),
        (b'"p":"0.001","q":"100"', b'"p":"900000000","q":"200000"', "more than 10^14"),
        (b'"T":1672515782135', b'"T":1672515782', "neither ms nor"),
        (b'"T":1672515782135', b'"T":4102444800000', "neither ms nor"),
        (b'"E":1672515782136', b'"E":-1672515782136', "event time -1672515782136"),
        (b'"m":true', b'"m":true,"p":"0.002"', "member 'p' stands twice"),
        (b'"M":true', b'"M":"\xff"', "not a frame"),
        (b'"M":true', b'"M":' + b"[" * 100_000, "not a frame"),
        (b'"M":true', b'"M":' + b"[" * 100_000 + b"]" * 100_000, "not a frame"),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_a_trade_that_cannot_be_trusted_is_refused_with_the_reason(old: bytes, new: bytes, reason: str) -> None:
    assert old in TRADE
    with pytest.raises(MalformedFrame) as refused:
        SPOT.parse(TRADE.replace(old, new), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        ("btcusdt@trade", TRADE),
        ("bnbbtc@aggTrade", TRADE),
        ("bnbbtc@blockTrade", TRADE),
        ("BNBBTC@trade", TRADE),
        ("bnbbtc@trade@100ms", TRADE),
        ("bnbbtc", TRADE),
        ("", TRADE),
        ("bnbbtc@kline_5m", KLINE),
        ("bnbusdt@depth", QUOTE),
        ("!ticker@arr", b"[" + TRADE + b"]"),
        ("bnbbtc@trade", b"[" + TRADE + b"]"),
        ("bnbbtc@trade", b'{"result":null,"id":1}'),
        ("bnbbtc@trade", combined("bnbbtc@trade", TRADE)),
    ],
)
def test_a_stream_that_disagrees_with_its_data_is_refused(stream: str, data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        SPOT.parse(combined(stream, data), 5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"i":"1m"', b'"i":"7m"'),
        (b'"t":1672515780000', b'"t":1672515780001'),
        (b'"o":"0.0010"', b'"o":"0"'),
        (b'"v":"1000"', b'"v":"-1"'),
        (b'"v":"1000"', b'"v":"100000000000000000000"'),
        (b'"n":100', b'"n":-1'),
        (b'"i":"1m"', b'"i":"1m","s":"ETHBTC"'),
    ],
)
def test_a_kline_that_cannot_be_trusted_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(MalformedFrame):
        SPOT.parse(KLINE.replace(old, new), 5)


@pytest.mark.parametrize(
    "frame",
    [
        *(b"", b"null", b"1", b"[]", b"{}", b"pong", b"<html></html>", b"\xff\xfe{\x00}\x00", b"[" * 10**6),
        *(b'{"stream":1,"data":{}}', b'{"stream":"bnbbtc@trade"}', b'{"data":{}}', b'{"e":null}', b'{"id":1}'),
    ],
    ids=lambda frame: repr(frame[:20]),
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        SPOT.parse(frame, 5)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*"eEstpqTmMuafl", "stream", "data"]), inner)
    ),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=200), json_values.map(lambda value: repr(value).replace("'", '"').encode())))
@settings(max_examples=300, deadline=None)
def test_parse_is_total(frame: bytes) -> None:
    for market in (SPOT, USDM, SIMULATED):
        try:
            messages = market.parse(frame, 5)
        except MalformedFrame:
            continue
        assert isinstance(messages, list)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_parse_is_total_around_real_frames(fixture_frames: list[bytes], data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from(fixture_frames)))
    for _ in range(data.draw(st.integers(1, 4))):
        low = data.draw(st.integers(0, len(frame)))
        high = min(len(frame), low + data.draw(st.integers(0, 12)))
        frame[low:high] = data.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b'"', b"1e999", b"-0", b"\\u0000"]))
        )
    try:
        SPOT.parse(bytes(frame), 5)
    except MalformedFrame as error:
        assert len(str(error)) < 300  # noqa: PT017 - either way is right, a long text is not
