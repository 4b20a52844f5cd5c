"""Coinbase by REST: what ccxt, which others wrote, reads from the same JSON, and a small market behind a server."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import ccxt.pro
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import MalformedFrame, UnknownName, UserError
from core.instruments import Instrument
from exchanges import history
from exchanges.messages import Quote, Trade
from exchanges.registry import venue
from exchanges.rest import Rest

COINBASE = venue("coinbase")
FRAMES = (Path(__file__).parents[1] / "fixtures/coinbase.jsonl").read_bytes().splitlines()
BTC = Instrument.parse("coinbase:BTC-USD")
START, MINUTE = 1_787_616_000, 60_000_000
PRODUCTS = [
    {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.01",
     "base_increment": "0.00000001", "status": "online", "status_message": "", "trading_disabled": False},
    {"id": "ETH-EUR", "base_currency": "ETH", "quote_currency": "EUR", "quote_increment": "0.01",
     "base_increment": "0.00000001", "status": "delisted"},
    {"id": "btc.x-USD", "base_currency": "X", "quote_currency": "USD", "quote_increment": "1",
     "base_increment": "1", "status": "online"},
]  # fmt: skip
CANDLES = [[1787616060, 80690.01, 80700, 80691.53, 80699.9, 1.234e-05], [1787616000, 1, 2.5, 2, 1.5, 3.1]]


def row(number: int, seconds: float, side: str = "sell") -> dict[str, object]:
    time = datetime.fromtimestamp(START + seconds, UTC).isoformat().replace("+00:00", "Z")
    return {"time": time, "trade_id": number, "price": "80691.53000000", "size": "0.00000001", "side": side}


def encoded(answer: object) -> bytes:
    return json.dumps(answer).encode()


class Market:
    """Holds trades with ids from 1 on, each some seconds after START, and a candle for each of some minutes."""

    def __init__(self, seconds: list[float], minutes: list[int]) -> None:
        self.seconds, self.minutes, self.asked = seconds, minutes, 0

    async def handle(self, head: bytes, reader: object, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        target = urlsplit(head.split()[1].decode())
        body = encoded(self.answer(target.path, dict(parse_qsl(target.query))))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def answer(self, path: str, params: dict[str, str]) -> object:
        if path == "/time":
            return {"iso": "2026-08-26T00:00:00.000Z", "epoch": START + 86_400.0}
        if path == "/products/BTC-USD/trades":
            newest = min(len(self.seconds), int(params.get("after", 2**62)) - 1)
            numbers = range(newest, max(0, newest - int(params["limit"])), -1)
            return [row(number, self.seconds[number - 1]) for number in numbers]
        assert path == "/products/BTC-USD/candles"
        first, last = (datetime.fromisoformat(params[name]).timestamp() for name in ("start", "end"))
        assert (last - first) / int(params["granularity"]) <= 300
        starts = [START + 60 * minute for minute in self.minutes if first <= START + 60 * minute <= last]
        return [[start, 1, 2.5, 1.5, 2, 3.1] for start in reversed(starts)]


@pytest.fixture(scope="module")
def asking(raw_server):
    def run(market: Market, ask):
        async def talk():
            async with raw_server(market.handle) as port:
                known = replace(
                    COINBASE, rest_url=f"http://127.0.0.1:{port}", budget=replace(COINBASE.budget, weight=10**6)
                )
                rest = Rest(known)
                try:
                    return await ask(rest, known)
                finally:
                    await rest.close()

        return asyncio.run(talk())

    return run


@given(st.integers(0, 5000), st.integers(0, 10**6), st.integers(0, 9), st.integers(-1, 5000))
@example(count=5000, span=1000, same=0, trade=0)
@example(count=5000, span=1000, same=9, trade=1503)
@settings(max_examples=15, deadline=None)
def test_the_first_id_of_a_stretch_is_found_and_all_after_it_are_read(asking, count, span, same, trade) -> None:
    # Several of one moment: the first of them is meant.
    seconds = [float(span * (number // (same + 1))) / 1e6 for number in range(count)]
    market, at = Market(seconds, []), seconds[trade] if 0 <= trade < count else 1e6 * trade
    start = START * 1_000_000 + round(at * 1e6)

    async def ask(rest, known):
        first = await history.first_id(rest, known, BTC, "trade", start)
        if first is None:
            return None, []
        return first, [int(n) async for page in history.trades(rest, known, BTC, "trade", first) for n in page.ids]

    first, read = asking(market, ask)
    wanted = [number for number, second in enumerate(seconds, 1) if second >= at]
    assert first == (wanted[0] if wanted else None)
    assert read == wanted
    assert market.asked <= 20


def test_candles_are_read_across_stretches_without_any(asking) -> None:
    market = Market([], [3, 4, 700, 999])
    begin = START * 1_000_000

    async def ask(rest, known):
        return await history.klines(rest, known, BTC, "1m", begin + 3 * MINUTE, begin + 999 * MINUTE)

    found = asking(market, ask)
    values = ("1.5", "2.5", "1", "2", "3.1", "0", 0, "0")
    assert found.rows == [(begin + minute * MINUTE, *values) for minute in (3, 4, 700)]


@given(st.integers(0, 10**9), st.integers(1, 10**5), st.sampled_from(["1m", "5m", "15m", "1h", "6h", "1d"]))
@settings(max_examples=50, deadline=None)
def test_a_page_of_candles_asks_for_no_more_than_is_given(start: int, span: int, name: str) -> None:
    start, end = start * 1_000_000, (start + span) * 1_000_000
    until, params = COINBASE.klines_until(name, start, end), COINBASE.klines_request(BTC, name, start, end).params
    assert start < until <= end
    first, last = (datetime.fromisoformat(str(params[side])).timestamp() for side in ("start", "end"))
    length = int(params["granularity"])
    assert (first, last) == (start // 1_000_000, (until - 1) // 1_000_000)
    assert last // length - -(-first // length) < 300


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UserError, match="first id"):
        COINBASE.trades_request(BTC, "trade", start=1)
    with pytest.raises(UnknownName):
        COINBASE.trades_request(BTC, "aggregate")
    with pytest.raises(UnknownName, match="'3m'"):
        COINBASE.klines_request(BTC, "3m", 0, 1)
    assert COINBASE.trades_request(BTC, "trade").params == {"limit": 1000}
    assert COINBASE.older_trades_request(BTC, "trade", (77, 5)).params == {"limit": 1000, "after": 77}


def test_answers_are_read() -> None:
    assert COINBASE.read_time(b'{"iso":"2015-01-07T23:47:25.201Z","epoch":1420674445.201}') == 1_420_674_445_201_000
    (listed,) = COINBASE.read_instruments(encoded(PRODUCTS))
    assert (listed.name, listed.native, listed.tick, listed.lot) == (
        BTC.name,
        "BTC-USD",
        Decimal("0.01"),
        Decimal("1e-8"),
    )
    assert COINBASE.read_trades(BTC, "trade", b"[]", 9) is None


@pytest.mark.parametrize(
    ("read", "answer", "reason"),
    [
        (COINBASE.read_time, {"message": "NotFound"}, "not an answer of Coinbase"),
        (COINBASE.read_instruments, [PRODUCTS[0], PRODUCTS[0] | {"quote_increment": "5"}], "stands twice"),
        (lambda told: COINBASE.read_trades(BTC, "trade", told, 9), [row(5, 1), row(6, 2)], "not ascending"),
        (lambda told: COINBASE.read_trades(BTC, "trade", told, 9), [row(5, 1, "up")], "Invalid enum value"),
        (lambda told: COINBASE.read_klines(BTC, "1m", told), [CANDLES[0]] * 2, "stands twice"),
        (lambda told: COINBASE.read_klines(BTC, "5m", told), CANDLES, "no start of that timeframe"),
        (lambda told: COINBASE.read_klines(BTC, "1m", told), [[START, 2, 1, 1, 1, 1]], "beyond its low or high"),
        (lambda told: COINBASE.read_klines(BTC, "1m", told), [[START, "1", 1, 1, 1, 1]], "not a JSON number"),
    ],
)
def test_answers_that_cannot_be_trusted_are_refused(read, answer: object, reason: str) -> None:
    with pytest.raises(MalformedFrame, match=reason):
        read(encoded(answer))


@pytest.fixture(scope="module")
def oracle():
    exchange = ccxt.pro.coinbaseexchange()
    markets = [exchange.safe_market_structure({"id": f"{base}-USD", "symbol": f"{base}/USD", "base": base,
               "quote": "USD", "baseId": base, "quoteId": "USD", "spot": True, "type": "spot"})
               for base in ("BTC", "ETH")]  # fmt: skip
    exchange.set_markets(markets)
    return exchange


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_trades_and_candles_are_as_ccxt_reads_them(oracle, side: str) -> None:
    match = json.loads(FRAMES[3]) | {"side": side}
    (ours,), theirs = COINBASE.parse(encoded(match), 5), oracle.parse_ws_trade(match)
    assert isinstance(ours, Trade)
    assert (str(ours.id), ours.side, float(ours.price), float(ours.size), ours.time // 1000) == tuple(
        theirs[name] for name in ("id", "side", "price", "amount", "timestamp")
    )
    page = COINBASE.read_trades(BTC, "trade", encoded([row(8, 2.25, side), row(7, 1, side)]), 9)
    told = [oracle.parse_trade(one, oracle.market("BTC/USD")) for one in (row(7, 1, side), row(8, 2.25, side))]
    assert page is not None
    assert [
        (str(n), t // 1000, p, s) for n, t, p, s in zip(page.ids, page.ts, page.price, page.side, strict=True)
    ] == [(one["id"], one["timestamp"], one["price"], {"buy": 1, "sell": -1}[one["side"]]) for one in told]
    candles = COINBASE.read_klines(BTC, "1m", encoded(CANDLES)).rows
    assert [[start // 1000, *map(float, values[:5])] for start, *values in candles] == [
        oracle.parse_ohlcv(one) for one in reversed(CANDLES)
    ]


def test_quotes_are_as_ccxt_reads_them(oracle) -> None:
    (ours,), theirs = COINBASE.parse(FRAMES[4], 5), oracle.parse_ticker(json.loads(FRAMES[4]))
    assert isinstance(ours, Quote)
    best = tuple(map(float, (ours.bid, ours.bid_size, ours.ask, ours.ask_size)))
    assert best == tuple(theirs[name] for name in ("bid", "bidVolume", "ask", "askVolume"))
    assert ours.time // 1000 == theirs["timestamp"]
