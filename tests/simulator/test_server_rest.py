"""What the exchange answers by REST: the tape, all of it that has happened, and nothing more."""

import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.timeframes import HOUR, MINUTE
from exchanges.binance import SPOT as BINANCE
from exchanges.binance_usdm import USDM
from exchanges.simulated import SIMULATED
from simulator.exchange import Rules, Tolerance

sys.path.insert(0, str(Path(__file__).parent))
from served import PERP, SPOT, Served, invented_hour, served

NOW = 1_736_121_600_000_000 + 30 * MINUTE + 20_000_000


@pytest.fixture(scope="module")
def tape():
    return invented_hour()


@pytest.fixture(scope="module")
def market(tape):
    """Half past the hour, by a clock that stands."""
    rules = Rules(spot=Tolerance(5, 20, 60, 10**9), usdm=Tolerance(10, 180, 600, 10**9))
    with served(tape, NOW, rules=rules) as running:
        yield running


def of(market: Served, name: str):
    return next(batch for batch in market.exchange.tape.between(0, NOW) if batch.instrument == name)


def pages(market: Served, path: str, symbol: str, key: str, first: int) -> list[dict]:
    rows: list[dict] = []
    while True:
        page = market.get(path, symbol=symbol, fromId=first, limit=1000)
        rows += page
        if not page:
            return rows
        first = page[-1][key] + 1


def test_pages_of_trades_are_what_has_happened(market):
    trades = of(market, SPOT)
    rows = pages(market, "/api/v3/historicalTrades", "BTCUSDT", "id", 0)
    assert [row["id"] for row in rows] == trades.ids.tolist()
    assert [row["time"] for row in rows] == (trades.ts // 1000).tolist()
    assert [float(row["price"]) for row in rows] == trades.price.tolist()
    assert [float(row["qty"]) for row in rows] == trades.size.tolist()
    assert [row["isBuyerMaker"] for row in rows] == (trades.side < 0).tolist()
    assert all(Decimal(row["quoteQty"]) == Decimal(row["price"]) * Decimal(row["qty"]) for row in rows)
    assert market.get("/api/v3/trades", symbol="BTCUSDT", limit=7) == rows[-7:]


@pytest.mark.parametrize(
    ("path", "symbol", "name"), [("/api/v3/aggTrades", "BTCUSDT", SPOT), ("/fapi/v1/aggTrades", "ETHUSDT", PERP)]
)
def test_pages_of_aggregates_have_ids_of_their_own(market, path, symbol, name):
    trades = of(market, name)
    rows = pages(market, path, symbol, "a", 0)
    assert [row["f"] for row in rows] == [row["l"] for row in rows] == trades.ids.tolist()
    assert np.diff([row["a"] for row in rows]).tolist() == [1] * (len(trades) - 1)
    assert not {row["a"] for row in rows} & {row["f"] for row in rows}
    assert [float(row["p"]) for row in rows] == trades.price.tolist()
    assert market.get(path, symbol=symbol, limit=3) == rows[-3:]


def test_the_first_aggregate_after_a_time_names_the_first_trade(market):
    trades = of(market, SPOT)
    for at in (0, 1, 777, len(trades) - 1):
        start = int(trades.ts[at])
        first = int(np.searchsorted(trades.ts, start))
        row = market.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=start // 1000, limit=1)[0]
        assert (row["f"], row["T"]) == (int(trades.ids[first]), start // 1000)


def test_times_are_inclusive_on_both_sides(market):
    trades = of(market, SPOT)
    start, end = int(trades.ts[100]) // 1000, int(trades.ts[200]) // 1000
    rows = market.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=start, endTime=end)
    inside = (trades.ts // 1000 >= start) & (trades.ts // 1000 <= end)
    assert [row["f"] for row in rows] == trades.ids[inside].tolist()


def test_candles_are_those_of_the_trades(market):
    trades = of(market, SPOT)
    rows = market.get("/api/v3/klines", symbol="BTCUSDT", interval="1m")
    assert [row[0] for row in rows] == list(range((NOW - 30 * MINUTE) // 60_000_000 * 60_000, NOW // 1000, 60_000))
    for row in rows:
        mine = trades.take(trades.ts // MINUTE == row[0] * 1000 // MINUTE)
        price = [Decimal(repr(value)) for value in mine.price.tolist()]
        size = [Decimal(repr(value)) for value in mine.size.tolist()]
        bought = [amount for amount, side in zip(size, mine.side.tolist(), strict=True) if side > 0]
        told = [Decimal(text) for text in (*row[1:6], row[7], row[9])]
        value = sum(map(Decimal.__mul__, price, size))
        assert told == [price[0], max(price), min(price), price[-1], sum(size), value, sum(bought)]
        assert (row[6], row[8], row[11]) == (row[0] + 59_999, len(mine), "0")


@pytest.mark.parametrize("interval", ["1s", "1m", "5m", "1h", "1d", "1w", "1M"])
def test_pages_of_candles_add_up_to_all_trades(market, interval):
    rows: list[list] = []
    start = 0
    while page := market.get("/api/v3/klines", symbol="BTCUSDT", interval=interval, startTime=start, limit=700):
        rows += page
        start = page[-1][0] + 1
    assert sum(row[8] for row in rows) == len(of(market, SPOT))
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    newest = market.get("/api/v3/klines", symbol="BTCUSDT", interval=interval, limit=1000)
    assert newest == rows[-1000:]


def test_the_days_ticker_and_the_book_follow_the_trades(market):
    trades = of(market, SPOT)
    day = market.get("/api/v3/ticker/24hr", symbol="BTCUSDT")
    assert (day["firstId"], day["lastId"], day["count"]) == (trades.ids[0], trades.ids[-1], len(trades))
    assert float(day["openPrice"]) == trades.price[0]
    assert float(day["lastPrice"]) == trades.price[-1]
    assert float(day["highPrice"]) == trades.price.max()
    assert Decimal(day["volume"]) == sum(Decimal(repr(size)) for size in trades.size.tolist())
    best = market.get("/api/v3/ticker/bookTicker", symbol="BTCUSDT")
    tick = Decimal("0.01")
    last = Decimal(repr(float(trades.price[-1])))
    assert (Decimal(best["bidPrice"]), Decimal(best["askPrice"])) == (last - tick, last + tick)
    book = market.get("/api/v3/depth", symbol="BTCUSDT", limit=5)
    assert book["bids"][0] == [best["bidPrice"], best["bidQty"]]
    assert book["lastUpdateId"] == trades.ids[-1]
    assert [len(book["bids"]), len(book["asks"])] == [5, 5]


def test_what_has_not_happened_is_not_told(market, tape):
    with served(tape, NOW) as other:
        before = other.get("/api/v3/trades", symbol="BTCUSDT", limit=1)[0]
        far = other.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=NOW // 1000, endTime=2 * NOW // 1000)
        assert far == []
        other.advance(60)
        rows = pages(other, "/api/v3/historicalTrades", "BTCUSDT", "id", before["id"] + 1)
        [later] = [batch for batch in tape.between(NOW, NOW + MINUTE) if batch.instrument == SPOT]
        assert [row["id"] for row in rows] == later.ids.tolist()
        assert other.get("/api/v3/time")["serverTime"] == (NOW + MINUTE) // 1000


def test_times_are_shifted_to_the_clients_time(tape):
    shift = 1000 * HOUR + 7 * MINUTE
    with served(tape, NOW, shift) as other:
        assert other.get("/api/v3/time")["serverTime"] == (NOW + shift) // 1000
        newest = other.get("/api/v3/trades", symbol="BTCUSDT", limit=1)[0]
        [last] = tape.last("BTCUSDT", NOW, 1).ts.tolist()
        assert newest["time"] == (last + shift) // 1000
        rows = other.get("/api/v3/klines", symbol="BTCUSDT", interval="1h")
        assert [row[0] % 3_600_000 for row in rows] == [0] * len(rows)
        assert sum(row[8] for row in rows) == len(next(iter(tape.between(0, NOW))))


def test_times_in_microseconds_on_request(market):
    row = market.get("/api/v3/trades", symbol="BTCUSDT", limit=1)[0]
    micro = market.client.get(
        "/api/v3/trades", params={"symbol": "BTCUSDT", "limit": 1}, headers={"X-MBX-TIME-UNIT": "MICROSECOND"}
    ).json()[0]
    assert micro == {**row, "time": int(of(market, SPOT).ts[-1])}
    start = micro["time"]
    assert market.get("/api/v3/aggTrades", symbol="BTCUSDT", startTime=start, limit=1)[0]["T"] == start // 1000


def test_our_own_venue_reads_the_answers(market):
    for venue, name, other in ((SIMULATED, SPOT, "/api/v3"), (USDM, PERP, "/fapi/v1")):
        instrument = next(one for one in market.exchange.tape.instruments if one.name == name)
        payload = market.client.get(f"{other}/exchangeInfo").content
        [listed] = venue.read_instruments(payload)
        assert (listed.native, listed.tick, listed.lot) == (instrument.native, instrument.tick, instrument.lot)
        channel = venue.trade_channel
        request = venue.trades_request(listed, channel)
        page = venue.read_trades(listed, channel, market.client.get(request.path, params=request.params).content, 0)
        trades = of(market, name)
        assert page is not None
        assert page.price.tolist() == trades.price[-len(page) :].tolist()
        request = venue.klines_request(listed, "1m", NOW - HOUR, NOW)
        candles = venue.read_klines(listed, "1m", market.client.get(request.path, params=request.params).content)
        assert sum(row[7] for row in candles.rows) == len(trades)
    assert BINANCE.read_time(market.client.get("/api/v3/time").content) == NOW
