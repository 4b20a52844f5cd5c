"""History of Bitget, page by page from a real HTTP server that gives the newest rows below what is asked for."""

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

START = 1_700_000_040_000
MINUTE = 60_000
INSTRUMENTS = {
    "bitget": Instrument.parse("bitget:BTC-USDT"),
    "bitget-usdt": Instrument.parse("bitget:BTC-USDT-PERP"),
}


class Market:
    """Holds ``count`` trades, three a second from START on with ids that leap, and candles of these minutes."""

    def __init__(self, count: int = 0, minutes: range = range(0), inclusive: bool = False) -> None:
        self.trades = [(10**15 + 7 * k, START + k * 333) for k in range(count)]
        self.minutes, self.inclusive = minutes, inclusive
        self.paths: list[str] = []

    async def handle(self, head, reader, writer) -> None:
        target = urlsplit(head.split()[1].decode())
        self.paths.append(target.path)
        data = getattr(self, target.path.rpartition("/")[2].replace("-", "_"))(dict(parse_qsl(target.query)))
        body = json.dumps({"code": "00000", "msg": "success", "requestTime": START, "data": data}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def time(self, params) -> dict:
        return {"serverTime": str(START + 1000 * MINUTE)}

    def fills_history(self, params) -> list:
        below = [(n, ts) for n, ts in self.trades if n < int(params.get("idLessThan", 2**63))]
        return [
            {"symbol": params["symbol"], "tradeId": str(n), "side": "Buy", "price": "1.5", "size": "2",
             "ts": str(ts // 1000 * 1000)}
            for n, ts in below[: -int(params["limit"]) - 1 : -1]
        ]  # fmt: skip

    def history_candles(self, params) -> list:
        starts, end = [START + k * MINUTE for k in self.minutes], int(params["endTime"]) + self.inclusive
        found = [s for s in starts if s < end]
        return [[str(s), "1", "2", "1", "2", "3", "4", "4"] for s in found[-int(params["limit"]) :]]


@pytest.fixture(scope="module")
def asking(raw_server):
    """Run a coroutine function of (rest, venue) against a market."""

    def run(market: Market, ask, name: str = "bitget"):
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


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3500), st.integers(0, 1200), st.sampled_from(list(INSTRUMENTS)))
def test_trades_are_read_backwards_until_a_time_each_once(asking, count: int, seconds: int, name: str) -> None:
    market, start = Market(count), (START // 1000 + seconds) * 1_000_000

    async def ask(rest, known):
        return await history.back_to(rest, known, INSTRUMENTS[name], "execution", start, 10_000)

    back = asking(market, ask, name)
    assert back is not None
    got = [int(number) for page in back.pages for number in page.ids]
    assert got == sorted(set(got))
    assert got == [number for number, _ in market.trades[-len(got) :]]
    assert {number for number, ts in market.trades if ts * 1000 >= start} <= set(got)
    assert len(market.paths) <= len(got) // 1000 + 2
    assert {path.split("/")[3] for path in market.paths} == {"spot" if name == "bitget" else "mix"}


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("minutes", [range(450), range(420, 450), range(0)], ids=str)
def test_candles_are_whole_whatever_the_end_means(asking, minutes: range, inclusive: bool) -> None:
    market = Market(minutes=minutes, inclusive=inclusive)

    async def ask(rest, known):
        return await history.klines(
            rest, known, INSTRUMENTS["bitget"], "1m", START * 1000, (START + 440 * MINUTE) * 1000
        )

    page = asking(market, ask)
    assert [row[0] for row in page.rows] == [(START + k * MINUTE) * 1000 for k in minutes if k < 440]
