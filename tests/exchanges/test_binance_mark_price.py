from collections.abc import Callable

import pytest

from core.errors import MalformedFrame, UnknownName
from core.instruments import Instrument
from exchanges.messages import MarkPrice
from exchanges.registry import venue

SPOT, USDM = venue("binance"), venue("binance-usdm")
PERP = Instrument.parse("binance:BTC-USDT-PERP")
FRAME = (
    b'{"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT",'
    b'"p":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000}}'
)


def test_mark_price_says_what_the_documentation_says() -> None:
    assert USDM.parse(FRAME, 5) == [
        MarkPrice(
            instrument="binance:BTC-USDT-PERP",
            time=1_562_305_380_000_000,
            sent=1_562_305_380_000_000,
            mark="11794.15000000",
            index="11784.62659091",
            funding_rate="0.00038167",
            next_funding=1_562_306_400_000_000,
        )
    ]


def test_funding_may_be_paid_by_shorts_and_delivered_contracts_have_none() -> None:
    (paid,) = USDM.parse(FRAME.replace(b'"r":"0', b'"r":"-0'), 5)
    assert isinstance(paid, MarkPrice)
    assert paid.funding_rate == "-0.00038167"
    dated = FRAME.replace(b"btcusdt@", b"btcusdt_260327@").replace(b'"BTCUSDT"', b'"BTCUSDT_260327"')
    (none,) = USDM.parse(dated.replace(b'"0.00038167","T":1562306400000', b'"","T":0'), 5)
    assert isinstance(none, MarkPrice)
    assert (none.instrument, none.funding_rate, none.next_funding) == ("binance:BTC-USDT-20260327", None, None)


@pytest.mark.parametrize("absent", [b'"0"', b'"0.00000000"', b"null", b'""'])
def test_without_an_index_the_mark_price_stays(absent: bytes) -> None:
    (mark,) = USDM.parse(FRAME.replace(b'"11784.62659091"', absent), 5)
    assert isinstance(mark, MarkPrice)
    assert (mark.mark, mark.index, mark.funding_rate) == ("11794.15000000", None, "0.00038167")


def test_futures_subscribe_on_their_route_and_spot_has_no_such_channel() -> None:
    (connection,) = USDM.subscriptions([PERP], ["mark_price"])
    assert (connection.url, connection.streams) == (
        "wss://fstream.binance.com/market/stream",
        ("btcusdt@markPrice@1s",),
    )
    with pytest.raises(UnknownName, match="'mark_price'"):
        SPOT.stream(Instrument.parse("binance:BTC-USDT"), "mark_price")


def test_the_fast_path_leaves_mark_prices_to_parse(assert_paths_agree: Callable[..., set[int]]) -> None:
    raw = FRAME[FRAME.index(b'"data":') + 7 : -1]
    assert assert_paths_agree(USDM, [FRAME, raw]) == set()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"p":"11794.15000000"', b'"p":"0"', "mark price '0' is not above 0"),
        (b'"i":"11784.62659091"', b'"i":"x"', "index price 'x' is not a plain"),
        (b'"r":"0.00038167"', b'"r":"10"', "funding rate '10' is not between"),
        (b'"r":"0.00038167"', b'"r":"--0.1"', "not a plain decimal"),
        (b'"r":"0.00038167"', b'"r":null', "Expected `str`"),
        (b'"T":1562306400000', b'"T":7', "next funding time 7"),
        (b'"E":1562305380000', b'"E":-1', "event time -1"),
        (b"@markPrice", b"@kline", "brought event 'markPriceUpdate'"),
        (b'"BTCUSDT"', b'"ETHUSDT"', "brought symbol 'ETHUSDT'"),
    ],
)
def test_a_mark_price_that_cannot_be_trusted_is_refused(old: bytes, new: bytes, reason: str) -> None:
    assert old in FRAME
    with pytest.raises(MalformedFrame) as refused:
        USDM.parse(FRAME.replace(old, new), 5)
    assert reason in str(refused.value)
