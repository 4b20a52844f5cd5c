import contextlib
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges.messages import Ack, ErrorReply, Message, Quote, Trade
from exchanges.registry import venue

COINBASE = venue("coinbase")
FRAMES = (Path(__file__).parents[1] / "fixtures/coinbase.jsonl").read_bytes().splitlines()
ACCEPTED, EMPTIED, LAST, MATCH, TICKER, HEARTBEAT, REFUSED, SLOW = FRAMES
BTC = Instrument.parse("coinbase:BTC-USD")


def test_a_match_is_a_trade_of_the_taker_on_the_other_side() -> None:
    assert COINBASE.parse(MATCH, 5) == [
        Trade(
            instrument="coinbase:BTC-USD",
            id_space="trade",
            id=1_081_862_675,
            time=1_787_628_957_198_335,
            sent=1_787_628_957_198_335,
            price="80691.53",
            size="0.00000001",
            side="buy",
            fills=1,
        )
    ]
    (sold,) = COINBASE.parse(MATCH.replace(b'"sell"', b'"buy"'), 5)
    assert isinstance(sold, Trade)
    assert sold.side == "sell"


def test_the_match_that_a_subscription_begins_with_is_the_trade_before() -> None:
    (last,), (match,) = COINBASE.parse(LAST, 5), COINBASE.parse(MATCH, 5)
    assert isinstance(last, Trade)
    assert isinstance(match, Trade)
    assert (last.id + 1, last.id_space) == (match.id, COINBASE.id_space("trade"))
    assert last.time == 1_787_628_957_096_368 < match.time


def test_a_ticker_is_a_quote_and_no_trade() -> None:
    time = 1_666_222_102_061_769
    quote = Quote("coinbase:ETH-USD", 37475248783, time, time, "1285.04", "0.46688654", "1285.27", "1.56637040")
    assert COINBASE.parse(TICKER, 5) == [quote]


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        (ACCEPTED, [Ack(None)]),
        (EMPTIED, [Ack(None)]),
        (HEARTBEAT, []),
        (SLOW, [ErrorReply(0, "ErrSlowConsume", passing=True)]),
        (
            b'{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}',
            [ErrorReply(0, "Failed to subscribe: FOO-USD is not a valid product")],
        ),
    ],
)
def test_answers_and_heartbeats(frame: bytes, messages: list[object]) -> None:
    assert COINBASE.parse(frame, 5) == messages


@pytest.mark.parametrize(("text", "micros"), [("27.5Z", 27_500_000), ("27Z", 27_000_000), ("27.000001Z", 27_000_001)])
def test_times_are_read_to_the_microsecond(text: str, micros: int) -> None:
    (trade,) = COINBASE.parse(MATCH.replace(b"57.198335Z", text.encode()), 5)
    assert isinstance(trade, Trade)
    assert trade.time == 1_787_628_900_000_000 + micros


@pytest.mark.parametrize(
    ("frame", "old", "new", "reason"),
    [
        (MATCH, b'"match"', b'"received"', "Invalid value 'received'"),
        (MATCH, b'"type":"match",', b"", "`type`"),
        (MATCH, b'"match"', b'"match","type":"match"', "'type' stands twice"),
        (MATCH, b'"maker_order_id":"f', b'"maker_order_id":"\xff', "not a frame"),
        (MATCH, b"1081862675", b"0", "trade id 0"),
        (MATCH, b"1081862675", b"9223372036854775808", "trade id"),
        (MATCH, b"1081862675", b'"1081862675"', "Expected `int`"),
        (MATCH, b'"sell"', b'"up"', "Invalid enum value 'up'"),
        (MATCH, b'"80691.53"', b'"8e4"', "not a plain decimal"),
        (MATCH, b'"80691.53"', b"80691.53", "Expected `str`"),
        (MATCH, b'"0.00000001"', b'"0"', "size '0' is not above 0"),
        (MATCH, b'"80691.53"', b'"0.12345678901"', "more than 18 decimals"),
        (MATCH, b"BTC-USD", b"btc-usd", "unknown product 'btc-usd'"),
        (MATCH, b"BTC-USD", b"BTC-USD-PERP", "unknown product"),
        (MATCH, b"BTC-USD", b"../../x", "unknown product"),
        (MATCH, b"335Z", b"335", "timezone"),
        (MATCH, b"2026-08-25T", b"2026-13-25T", "RFC3339"),
        (MATCH, b"2026-", b"2008-", "neither ms nor"),
        # Of 1970: as a number of µs it would look like ms of 2009.
        (MATCH, b"2026-08-25T", b"1970-01-16T", "neither ms nor"),
        (TICKER, b'"sequence":37475248783', b'"sequence":0', "sequence 0"),
        (TICKER, b'"best_bid_size":"0.46688654",', b"", "missing required field"),
        (TICKER, b'"1285.27"', b'"-1"', "ask '-1'"),
        (REFUSED, b'"message"', b'"words"', "missing required field"),
        (ACCEPTED, b"[{", b'{"a":[{', "not a frame"),
    ],
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(frame: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in frame
    with pytest.raises(MalformedFrame) as refused:
        COINBASE.parse(frame.replace(old, new, 1), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 250


@given(
    st.lists(st.from_regex(r"[A-Z0-9]{1,8}", fullmatch=True), max_size=220),
    st.sets(st.sampled_from(["trade", "quote"])),
)
@settings(max_examples=30, deadline=None)
def test_the_messages_ask_for_all_streams_once(bases: list[str], channels: set[str]) -> None:
    markets = [Instrument("coinbase", base, "USD") for base in bases]
    asked: list[str] = []
    for connection in COINBASE.subscriptions(markets, sorted(channels)):
        assert connection.url == "wss://ws-feed.exchange.coinbase.com"
        assert len(connection.streams) <= COINBASE.limits.streams
        told = [msgspec.json.decode(text) for text in connection.messages]
        assert {one["type"] for one in told} == {"subscribe"}
        named = [f"{c['name']}:{product}" for one in told for c in one["channels"] for product in c["product_ids"]]
        assert sorted(named) == sorted(connection.streams)
        asked += named
    assert sorted(asked) == sorted({COINBASE.stream(one, channel) for one in markets for channel in channels})


def test_names_go_both_ways_and_others_are_refused() -> None:
    assert COINBASE.native(COINBASE.instrument("1INCH-USD")) == "1INCH-USD"
    assert COINBASE.requests("UNSUBSCRIBE", ["matches:BTC-USD"]) == (
        '{"type":"unsubscribe","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}',
    )
    for name in ("coinbase:BTC-USD-PERP", "binance:BTC-USD"):
        with pytest.raises(UserError):
            COINBASE.native(Instrument.parse(name))
    for channel in ("kline_1m", "aggregate", "mark_price", ""):
        assert COINBASE.id_space(channel) is None
        with pytest.raises(UnknownName):
            COINBASE.subscriptions([BTC], [channel])


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_parse_is_total(frame: bytes) -> None:
    # Among what is drawn are constants of our own code, and whole frames among those.
    with contextlib.suppress(MalformedFrame):
        assert all(isinstance(message, get_args(Message)) for message in COINBASE.parse(frame, 5))
