"""History of OKX, page by page from a real HTTP server that pages as OKX does: newest first, bounds exclusive."""

import asyncio
import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.instruments import Instrument
from exchanges import history
from exchanges.registry import venue
from exchanges.rest import Rest

BTC = Instrument.parse("okx:BTC-USDT")
START = 1_700_000_040_000
MINUTE = 60_000


class Market:
    """Holds the trades ``first`` to ``last``, two a millisecond from START on, and candles of these minutes."""

    def __init__(self, first: int = 1, last: int = 1, minutes: range = range(0), now: int = START) -> None:
        self.ids, self.minutes, self.now = range(first, last + 1), minutes, now
        self.asked = 0

    async def handle(self, head, reader, writer) -> None:
        target = urlsplit(head.split()[1].decode())
        self.asked += 1
        data = getattr(self, target.path.rpartition("/")[2].replace("-", "_"))(dict(parse_qsl(target.query)))
        body = json.dumps({"code": "0", "msg": "", "data": data}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def ts(self, number: int) -> int:
        return START + (number - self.ids[0]) // 2

    def time(self, params) -> list:
        return [{"ts": str(self.now)}]

    def instruments(self, params) -> list:
        symbol = {"SPOT": "BTC-USDT", "SWAP": "BTC-USDT-SWAP", "FUTURES": "BTC-USD-260327"}[params["instType"]]
        return [{"instId": symbol, "instType": params["instType"], "state": "live", "ctVal": "100", "ctMult": "1"}]

    def history_trades(self, params) -> list:
        after = int(params["after"])
        older = [n for n in self.ids if (n if params["type"] == "1" else self.ts(n)) < after]
        return [
            {
                "instId": params["instId"],
                "tradeId": str(n),
                "px": "1.5",
                "sz": "2",
                "side": "buy",
                "ts": str(self.ts(n)),
            }
            for n in older[: -int(params["limit"]) - 1 : -1]
        ]

    def history_candles(self, params) -> list:
        starts = [START + k * MINUTE for k in self.minutes]
        found = [s for s in starts if int(params["before"]) < s < int(params["after"])]
        return [[str(s), "1", "2", "1", "2", "3", "4", "5", "1"] for s in found[: -int(params["limit"]) - 1 : -1]]


@pytest.fixture(scope="module")
def asking(raw_server):
    """Run a coroutine function of (rest, venue) against a market."""

    def run(market: Market, ask):
        async def talk():
            async with raw_server(market.handle) as port:
                known = venue("okx", rest_url=f"http://127.0.0.1:{port}")
                rest = Rest(known)
                try:
                    return await ask(rest, known)
                finally:
                    await rest.close()

        return asyncio.run(talk())

    return run


def pages(channel: str, first: int, last: int | None):
    async def ask(rest, known):
        return [page async for page in history.trades(rest, known, BTC, channel, first, last)]

    return ask


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 250),
    st.integers(0, 250),
    st.integers(0, 300),
    st.none() | st.integers(0, 150),
    st.sampled_from(["trade", "aggregate"]),
)
def test_trades_are_those_of_the_range_each_once_in_order(asking, first, more, skipped, span, channel) -> None:
    market, at, last = Market(first, first + more), first + skipped, first + more
    until = None if span is None else min(last, at + span)
    got = [int(n) for page in asking(market, pages(channel, at, until)) for n in page.ids]
    assert got == [n for n in market.ids if at <= n <= (last if until is None else until)]
    assert market.asked <= len(got) // 100 + 2


def test_of_ids_that_the_venue_keeps_no_more_nothing_is_given(asking) -> None:
    market = Market(500, 900)
    assert asking(market, pages("trade", 300, 350)) == []
    # A range that begins within a page of what is kept is given from there on.
    assert [int(page.ids[0]) for page in asking(market, pages("trade", 450, 700))][:1] == [500]


@pytest.mark.parametrize("channel", ["trade", "aggregate"])
def test_the_first_trade_at_a_time_is_found(asking, channel: str) -> None:
    market = Market(500, 900)

    async def ask(rest, known):
        times = [START, START + 1, START + 100, START + 10_000]
        return [await history.first_id(rest, known, BTC, channel, ms * 1000) for ms in times]

    # Before all that the venue has, it cannot say what the first was; after all, the next will be it.
    assert asking(market, ask) == [None, 502, 700, 901]


@pytest.mark.parametrize("minutes", [range(250), range(220, 250), range(0)], ids=str)
def test_candles_are_whole_also_where_the_venue_begins_later(asking, minutes: range) -> None:
    market = Market(minutes=minutes, now=START + 240 * MINUTE + 1)

    async def ask(rest, known):
        return await history.klines(rest, known, BTC, "1m", START * 1000, (START + 10**9) * 1000)

    page = asking(market, ask)
    assert [row[0] for row in page.rows] == [(START + k * MINUTE) * 1000 for k in minutes if k < 240]
    assert market.asked == 4


def test_all_types_of_instruments_are_listed(asking) -> None:
    async def ask(rest, known):
        return [one.name for one in await history.instruments(rest, known)]

    assert asking(Market(), ask) == ["okx:BTC-USDT", "okx:BTC-USDT-PERP", "okx:BTC-USD-20260327"]
