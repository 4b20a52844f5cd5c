from pathlib import Path

import pytest

from core.errors import MalformedFrame
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Ping, Quote, Trade
from exchanges.registry import venue

DERIBIT = venue("deribit")
FIXTURE = Path(__file__).parents[1] / "fixtures/deribit.jsonl"
FRAMES = FIXTURE.read_bytes().splitlines()
TRADE, BLOCK, _, QUOTE, EMPTY, KLINE, TICKER, DATED, BOOK = FRAMES[:9]


def notified(channel: str, data: str) -> bytes:
    return f'{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}'.encode()


def test_trade_says_what_the_documentation_says() -> None:
    assert DERIBIT.parse(TRADE, 5) == [
        Trade(
            instrument="deribit:BTC-USD-PERP",
            id_space="trade",
            id=271252854,
            time=1_765_531_356_452_000,
            sent=1_765_531_356_452_000,
            price="92294.5",
            size="10.0",
            side="sell",
            fills=1,
        )
    ]


def test_block_trades_legs_and_liquidations_are_trades_like_others() -> None:
    first, second = DERIBIT.parse(BLOCK, 5)
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (first.instrument, first.id, second.id) == ("deribit:SOL-USDC-PERP", 8811, 8812)
    assert (first.size, second.size, second.side) == ("0.1", "0.050", "buy")


def test_quote_says_what_the_documentation_says() -> None:
    time = 1_765_541_767_174_000
    assert DERIBIT.parse(QUOTE, 5) == [
        Quote("deribit:BTC-USD-PERP", 0, time, time, "92288.0", "133440.0", "92288.5", "99470.0")
    ]


@pytest.mark.parametrize("frame", [EMPTY, EMPTY.replace(b'_ask_price":0.0', b'_ask_price":null')])
def test_a_side_without_orders_is_no_price(frame: bytes) -> None:
    (quote,) = DERIBIT.parse(frame, 5)
    assert isinstance(quote, Quote)
    assert quote.instrument == "deribit:BTC-USDC"
    assert (float(quote.ask), float(quote.ask_size), quote.bid) == (0, 0, "92288.0")


def test_candles_have_the_receipts_time_no_flag_and_volumes_in_the_unit_of_sizes() -> None:
    expected = Kline(
        instrument="deribit:BTC-USD-PERP",
        timeframe="1m",
        start=1_767_200_040_000_000,
        sent=7,
        open="87490.0",
        high="87500.0",
        low="87465.0",
        close="87474.0",
        volume="83970.0",
        quote_volume="83970.0",
        trade_count=None,
        taker_buy_volume=None,
        taker_buy_quote_volume=None,
        first_id=None,
        last_id=None,
        closed=None,
    )
    assert DERIBIT.parse(KLINE, 7) == [expected]
    (linear,) = DERIBIT.parse(KLINE.replace(b"BTC-PERPETUAL", b"BTC_USDC-PERPETUAL"), 7)
    assert isinstance(linear, Kline)
    assert (linear.volume, linear.quote_volume) == ("0.95978896", "83970.0")


@pytest.mark.parametrize(
    ("written", "volume"),
    [
        (b"3.6680847969999992", "3.6680847969999992"),
        (b"0", "0"),
        (b"1.0869000000000001e-4", "0.000108690000000000"),
        (b"98765432109876.12345678901234567895", "98765432109876.123456789012345679"),
    ],
)
def test_sums_of_doubles_lose_what_is_beyond_18_decimals(written: bytes, volume: str) -> None:
    linear = KLINE.replace(b"BTC-PERPETUAL", b"BTC_USDC-PERPETUAL").replace(b"0.95978896", written)
    (kline,) = DERIBIT.parse(linear, 7)
    assert isinstance(kline, Kline)
    assert kline.volume == volume


def test_ticker_is_mark_index_and_the_current_funding() -> None:
    time = 1_765_541_767_174_000
    assert DERIBIT.parse(TICKER, 5) == [
        MarkPrice("deribit:BTC-USD-PERP", time, time, "92287.11", "92276.75", "-0.00001729", None)
    ]
    assert DERIBIT.parse(DATED, 5) == [
        MarkPrice("deribit:BTC-USD-20260327", time, time, "94101.1", "92276.75", None, None)
    ]
    for absent in (b"0", b"0.0", b"null"):
        assert DERIBIT.parse(TICKER.replace(b'"index_price":92276.75', b'"index_price":' + absent), 5) == [
            MarkPrice("deribit:BTC-USD-PERP", time, time, "92287.11", None, "-0.00001729", None)
        ]


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        (BOOK, []),
        (FRAMES[9], []),
        (FRAMES[10], [Ping('{"jsonrpc":"2.0","id":0,"method":"public/test","params":{}}')]),
        (FRAMES[11], [Ack(1, ("trades.BTC-PERPETUAL.100ms", "book.BTC-PERPETUAL.100ms"))]),
        (FRAMES[12], []),
        (FRAMES[13], []),
        (FRAMES[14], [ErrorReply(10028, "too_many_requests", 1, passing=True)]),
        (
            FRAMES[15],
            [ErrorReply(-32602, 'Invalid params: {"reason":"wrong format","param":"channels"}', 2)],
        ),
        (b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}', [ErrorReply(-32700, "Parse error")]),
        (b'{"jsonrpc":"2.0","id":9,"result":[]}', [Ack(9, ())]),
        (
            b'{"jsonrpc":"2.0","id":0,"error":{"code":10028,"message":"too_many_requests"}}',
            [ErrorReply(10028, "too_many_requests", 0, streams=(), passing=True)],
        ),
        (notified("trades.BTC-PERPETUAL.100ms", "[]"), []),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_replies_heartbeats_and_what_is_not_recorded(frame: bytes, messages: list[object]) -> None:
    assert DERIBIT.parse(frame, 5) == messages


def test_what_we_send_by_ourselves_has_the_id_whose_replies_are_passed_over() -> None:
    (heartbeat,) = DERIBIT.subscribing.opening
    (ping,) = DERIBIT.parse(FRAMES[10], 5)
    assert isinstance(ping, Ping)
    assert heartbeat == '{"jsonrpc":"2.0","id":0,"method":"public/set_heartbeat","params":{"interval":30}}'
    assert '"id":0,' in ping.reply
    assert all('"id":0,' not in text for text in DERIBIT.requests("SUBSCRIBE", [f"quote.{k}" for k in range(1200)]))


def test_the_first_bytes_tell_data_from_everything_else() -> None:
    size = DERIBIT.subscribing.kind_bytes
    assert len({frame[:size] for frame in FRAMES[:9]}) == 1
    assert not {frame[:size] for frame in FRAMES[:9]} & {frame[:size] for frame in FRAMES[9:]}


@pytest.mark.parametrize(
    ("frame", "old", "new", "reason"),
    [
        (TRADE, b'"trade_seq":271252854', b'"trade_seq":0', "trade_seq 0 is not between"),
        (TRADE, b'"trade_seq":271252854', b'"trade_seq":271252854.0', "Expected `int`"),
        (TRADE, b'"trade_seq":271252854,', b"", "missing required field `trade_seq`"),
        (TRADE, b'"price":92294.5', b'"price":"92294.5"', "is not a JSON number"),
        (TRADE, b'"price":92294.5', b'"price":null', "is not a JSON number"),
        (TRADE, b'"price":92294.5', b'"price":0.0', "price '0.0' is not above 0"),
        (TRADE, b'"price":92294.5', b'"price":-92294.5', "price '-92294.5' is not a plain"),
        (TRADE, b'"price":92294.5', b'"price":1e99', "is not a plain decimal"),
        (TRADE, b'"price":92294.5', b'"price":1e999999999', "is not a JSON number of a usual size"),
        (TRADE, b'"price":92294.5', b'"price":92294.500000000001', "more than 15 significant"),
        (TRADE, b'"amount":10.0', b'"amount":0', "size '0' is not above 0"),
        (TRADE, b'"sell"', b'"SELL"', "Invalid enum value"),
        (TRADE, b'"timestamp":1765531356452', b'"timestamp":1765531356', "neither ms nor"),
        (TRADE, b'"instrument_name":"BTC-PERPETUAL"', b'"instrument_name":"ETH-PERPETUAL"', "in the place of"),
        (TRADE, b"trades.BTC-PERPETUAL.100ms", b"trades.BTC-PERPETUAL.1s", "unknown interval '1s'"),
        (TRADE, b"trades.BTC-PERPETUAL.100ms", b"trades.future.BTC.100ms", "unknown symbol 'future'"),
        (TRADE, b"trades.BTC-PERPETUAL.100ms", b"fills.BTC-PERPETUAL.100ms", "unknown channel 'fills"),
        (TRADE, b"BTC-PERPETUAL", b"BTC-27MAR26-100000-C", "options are not covered"),
        (TRADE, b"BTC-PERPETUAL", b"BTC-FS-27MAR26_PERP", "unknown symbol"),
        (TRADE, b'"tick_direction":2', b'"price":1', "member 'price' stands twice"),
        (TRADE, b'"tick_direction":2', b'"tick_direction":' + b"[" * 100_000 + b"]" * 100_000, "too deep"),
        (TRADE, b'"403691824"', b'"\xff"', "not a frame"),
        (TRADE, b'"subscription"', b'"subscribe"', "unknown method"),
        (TRADE, b'"jsonrpc":"2.0"', b'"id":1', "members of a reply"),
        (QUOTE, b"quote.BTC-PERPETUAL", b"quote.BTC-PERPETUAL.100ms", "unknown channel"),
        (QUOTE, b'"best_bid_amount":133440.0', b'"best_bid_amount":null', "bid size"),
        (QUOTE, b'"best_bid_price":92288.0,', b"", "best_bid_price"),
        (KLINE, b'"tick":1767200040000', b'"tick":1767200040001', "no start of that timeframe"),
        (KLINE, b'"low":87465.0', b'"low":87475.0', "beyond its low or high"),
        (KLINE, b'"cost":83970.0', b'"cost":-1.0', "volume '-1.0' is not a plain"),
        (KLINE, b"BTC-PERPETUAL.1", b"BTC-PERPETUAL.10", "unknown resolution '10'"),
        (KLINE, b"chart.trades", b"chart.quotes", "unknown channel"),
        (TICKER, b'"mark_price":92287.11', b'"mark_price":0.0', "mark price '0.0' is not above"),
        (TICKER, b'"current_funding":-1.729e-5', b'"current_funding":-17.29', "not between -10 and 10"),
        (TICKER, b'"instrument_name":"BTC-', b'"instrument_name":"ETH-', "in the place of"),
        (BOOK, b'"instrument_name":"BTC-', b'"instrument_name":"ETH-', "in the place of"),
        (FRAMES[10], b"test_request", b"ping", "Invalid enum value"),
        (FRAMES[11], b'"id":1', b'"error":{"code":1,"message":""}', "both accepts and refuses"),
        (FRAMES[12], b'"id":0', b'"id":3', "none to a subscription"),
        (FRAMES[12], b'"ok"', b'"no"', "not a frame"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(frame: bytes, old: bytes, new: bytes, reason: str) -> None:
    assert old in frame
    with pytest.raises(MalformedFrame) as refused:
        DERIBIT.parse(frame.replace(old, new), 5)
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "frame", [b"", b"null", b"[]", b"{}", b"ping", b"<html>", b'{"id":1}', b"\xff{}", b"[" * 10**6]
)
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(MalformedFrame):
        DERIBIT.parse(frame, 5)
