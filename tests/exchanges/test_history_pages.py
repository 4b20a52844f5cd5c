"""History, asked page by page from a real HTTP server that holds a small market and counts what it was asked."""

import asyncio
import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, TransientError, VenueError
from core.instruments import Instrument
from core.trades import TradeBatch
from exchanges import history
from exchanges.binance_endpoints import PAGE
from exchanges.registry import venue
from exchanges.rest import Rest
from exchanges.venue import Request, Venue

BTC, PERP = Instrument.parse("binance:BTC-USDT"), Instrument.parse("binance:BTC-USDT-PERP")
START = 1_700_000_100_000
MINUTE = 60_000


class Market:
    """Holds trades with these ids, one a millisecond from START on, each its own aggregate of id 10 · id."""

    def __init__(self, ids: list[int], minutes: int = 0, now: int = START + 10_000_000, page: int = PAGE) -> None:
        self.ids, self.minutes, self.now, self.page = ids, minutes, now, page
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.grow = 0

    async def handle(self, head, reader, writer) -> None:
        target = urlsplit(head.split()[1].decode())
        params = dict(parse_qsl(target.query))
        path = target.path.rpartition("/")[2]
        self.asked.append((path, params))
        body = json.dumps(getattr(self, path)(params)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.ids += [self.ids[-1] + 1 + k for k in range(self.grow)]

    def time(self, params) -> dict:
        return {"serverTime": self.now}

    def exchangeInfo(self, params) -> dict:  # noqa: N802 - the venue's name
        return {"symbols": [{"symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT",
                             "filters": []}]}  # fmt: skip

    def _page(self, params) -> list[int]:
        since, first = int(params.get("startTime", 0)) - START, int(params.get("fromId", 0))
        found = [at for at, number in enumerate(self.ids) if number >= first and at >= since]
        return found[: min(int(params["limit"]), self.page)]

    def historicalTrades(self, params) -> list:  # noqa: N802
        return [
            {"id": self.ids[at], "price": "1.5", "qty": "2", "time": START + at, "isBuyerMaker": False}
            for at in self._page(params)
        ]

    def aggTrades(self, params) -> list:  # noqa: N802
        params = {**params, "fromId": -(-int(params.get("fromId", 0)) // 10)}
        return [
            {"a": 10 * self.ids[at], "p": "1.5", "q": "2", "f": self.ids[at], "l": self.ids[at], "T": START + at,
             "m": False}
            for at in self._page(params)
        ]  # fmt: skip

    def klines(self, params) -> list:
        low, high = int(params["startTime"]), int(params["endTime"])
        starts = [START + k * MINUTE for k in range(self.minutes)]
        rows = [s for s in starts if low <= s <= high][: self.page]
        return [[s, "1", "2", "1", "2", "3", s + MINUTE - 1, "4", 5, "1", "1", "0"] for s in rows]


@pytest.fixture(scope="module")
def asking(raw_server):
    """Run a coroutine function of (rest, venue) against a market."""

    def run(market: Market, ask, name: str = "binance"):
        async def talk():
            async with raw_server(market.handle) as port:
                known = venue(name, rest_url=f"http://127.0.0.1:{port}")
                rest = Rest(known)
                try:
                    return await ask(rest, known)
                finally:
                    await rest.close()

        return asyncio.run(talk())

    return run


def pages(instrument: Instrument, channel: str, first: int, last: int | None = None):
    async def ask(rest: Rest, known: Venue) -> list[TradeBatch]:
        return [
            page async for page in history.trades(rest, known, instrument, channel, first, last, received=lambda: 7)
        ]

    return ask


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=50, unique=True).map(sorted),
    st.integers(1, 60),
    st.none() | st.integers(1, 60),
    st.integers(1, 20),
)
def test_trades_are_those_of_the_range_each_once_in_order(asking, ids, first, last, page) -> None:
    market = Market(list(ids), page=page)
    # A page that the venue cuts shorter than asked ends an open range: it counts as caught up.
    got = [int(n) for batch in asking(market, pages(BTC, "trade", first, last)) for n in batch.ids]
    wanted = [n for n in ids if n >= first and (last is None or n <= last)]
    assert got == (wanted if last is not None else wanted[:page])
    assert len(market.asked) <= len(wanted) // page + 2


def test_full_pages_are_followed_and_the_last_is_not_asked_for_twice(asking) -> None:
    market = Market(list(range(1, 2501)))
    batches = asking(market, pages(BTC, "trade", 1))
    assert [len(batch) for batch in batches] == [1000, 1000, 500]
    assert [params["fromId"] for _, params in market.asked] == ["1", "1001", "2001"]
    assert {int(n) for batch in batches for n in batch.received} == {7}


def test_a_market_that_goes_on_is_caught_up_with_all_the_same(asking) -> None:
    market = Market(list(range(1, 1201)))
    market.grow = 5
    batches = asking(market, pages(BTC, "trade", 1))
    assert [len(batch) for batch in batches] == [1000, 205]
    assert len(market.asked) == 2


def test_a_hole_is_asked_for_and_no_more(asking) -> None:
    market = Market(list(range(1, 5000)))
    (batch,) = asking(market, pages(BTC, "trade", 100, 120))
    assert batch.ids.tolist() == list(range(100, 121))
    assert len(market.asked) == 1
    assert asking(market, pages(BTC, "trade", 5, 4)) == []
    assert len(market.asked) == 1


def test_a_venue_that_repeats_itself_does_not_hold_us(asking) -> None:
    class Stuck(Market):
        def _page(self, params) -> list[int]:
            return list(range(len(self.ids)))[:PAGE]

    market = Stuck(list(range(1, 1001)))
    (batch,) = asking(market, pages(BTC, "trade", 1, 10_000))
    assert len(batch) == 1000
    assert len(market.asked) == 2


@given(st.integers(-5, 45))
@settings(max_examples=12)
def test_the_first_id_is_of_the_first_trade_at_or_after_a_time(asking, at) -> None:
    ids = [3, 4, 9, 10, 25, 26, 27]
    expected = next((n for k, n in enumerate(ids) if k * 5 >= at), None)

    class Spread(Market):
        def aggTrades(self, params) -> list:  # noqa: N802
            since = int(params["startTime"])
            rows = [
                {"a": 10 * n, "p": "1", "q": "1", "f": n, "l": n, "T": START + 5 * k, "m": False}
                for k, n in enumerate(ids)
                if START + 5 * k >= since
            ]
            return rows[: int(params["limit"])]

    start = (START + at) * 1000 - 999

    async def both(rest: Rest, known: Venue):
        instrument = PERP if known.name == "binance-usdm" else BTC
        return await history.first_id(rest, known, instrument, known.trade_channel, start)

    assert asking(Spread([1]), both) == expected
    assert asking(Spread([1]), both, "binance-usdm") == (None if expected is None else 10 * expected)


def test_closed_candles_come_from_all_pages_and_the_open_one_does_not(asking) -> None:
    market = Market([1], minutes=25, now=START + 20 * MINUTE + 1, page=7)

    async def ask(rest: Rest, known: Venue):
        return await history.klines(rest, known, BTC, "1m", START * 1000 + 1, (START + 60 * MINUTE) * 1000)

    candles = asking(market, ask)
    assert (candles.instrument, candles.timeframe) == ("binance:BTC-USDT", "1m")
    assert [row[0] for row in candles.rows] == [(START + k * MINUTE) * 1000 for k in range(1, 20)]
    assert [path for path, _ in market.asked] == ["time", *["klines"] * 3]


def test_time_and_instruments(asking) -> None:
    market = Market([1])
    assert asking(market, history.time) == market.now * 1000
    (instrument,) = asking(market, history.instruments)
    assert (instrument.name, instrument.native) == ("binance:BTC-USDT", "BTCUSDT")


@pytest.mark.parametrize("body", [b"{}", b'[{"id":1}]', b"[[]]", b'{"serverTime":1}', b"[null]", b'{"symbols":[1]}'])
def test_json_of_another_shape_is_a_malformed_answer(asking, body) -> None:
    class Odd(Market):
        async def handle(self, head, reader, writer) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async def each(rest: Rest, known: Venue) -> list[object]:
        asked = (
            history.time(rest, known),
            history.instruments(rest, known),
            history.first_id(rest, known, BTC, "trade", START * 1000),
            history.klines(rest, known, BTC, "1m", 0, START * 1000),
            anext(history.trades(rest, known, BTC, "trade", 1)),
        )
        return await asyncio.gather(*asked, return_exceptions=True)

    assert {type(result) for result in asking(Odd([1]), each)} == {MalformedFrame}


def test_errors_of_the_venue_and_the_network_are_passed_on(asking, raw_server) -> None:
    class Refusing(Market):
        async def handle(self, head, reader, writer) -> None:
            writer.write(b"HTTP/1.1 400 x\r\nContent-Length: 38\r\n\r\n" + b'{"code":-1121,"msg":"Invalid symbol."}')

    with pytest.raises(VenueError, match="-1121: Invalid symbol"):
        asking(Refusing([1]), pages(BTC, "trade", 1))

    async def dead() -> None:
        rest = Rest(replace(venue("binance"), rest_url="http://127.0.0.1:1"))
        with pytest.raises(TransientError):
            await history.time(rest, venue("binance"))
        await rest.close()

    asyncio.run(dead())


class ByTime:
    """A venue that pages by time, and answers with trades from before it too."""

    def trades_request(self, instrument, channel, *, first_id=None, start=None) -> Request:
        return Request("/x", {}, 1)

    def read_trades(self, instrument, channel, payload, received_at) -> TradeBatch | None:
        return venue("binance").read_trades(BTC, "trade", payload, received_at)


def test_trades_from_before_the_time_do_not_count() -> None:
    class Fixed:
        async def get(self, request: Request) -> bytes:
            rows = Market([4, 5, 6]).historicalTrades({"limit": 1000})
            return json.dumps(rows).encode()

    async def ask(at: int) -> int | None:
        return await history.first_id(Fixed(), ByTime(), BTC, "trade", (START + at) * 1000)

    assert [asyncio.run(ask(at)) for at in (0, 1, 2, 3)] == [4, 5, 6, None]
