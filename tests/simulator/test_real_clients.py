"""Clients that others wrote for Binance believe the simulator: what they tell is what is on the tape."""

import json
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.timeframes import MINUTE

sys.path.insert(0, str(Path(__file__).parent))
from served import PERP, SPOT, invented_hour, served

HERE = Path(__file__).parent
SPEED = 5.0


@pytest.fixture(scope="module")
def tape():
    return invented_hour()


def told(tape, client: str) -> tuple[dict, int]:
    """Run a client against a market that goes on; give what it printed, and where the market stood at the end."""
    with served(tape, (tape.start // MINUTE + 30) * MINUTE) as market:
        done = threading.Event()
        ticking = threading.Thread(
            target=lambda: [market.advance(0.05 * SPEED) for _ in iter(lambda: done.wait(0.05), True)]
        )
        ticking.start()
        try:
            run = subprocess.run(
                [sys.executable, "-W", "ignore", str(HERE / client), str(market.port)],
                capture_output=True,
                timeout=240,
                check=False,
            )
        finally:
            done.set()
            ticking.join()
        assert run.returncode == 0, run.stderr.decode()[-2000:]
        return json.loads(run.stdout), market.exchange.now()


def trades_of(tape, name, end):
    return next(batch for batch in tape.between(0, end) if batch.instrument == name)


def rows(trades) -> dict[int, list]:
    sides = np.where(trades.side > 0, "buy", "sell").tolist()
    columns = ((trades.ts // 1000).tolist(), trades.price.tolist(), trades.size.tolist(), sides)
    return dict(zip(trades.ids.tolist(), map(list, zip(*columns, strict=True)), strict=True))


@pytest.fixture(scope="module")
def ccxt_told(tape):
    return told(tape, "client_ccxt.py")


@pytest.mark.parametrize(
    ("kind", "name", "symbol", "lot"),
    [("spot", SPOT, "BTC/USDT", 0.00001), ("linear", PERP, "ETH/USDT:USDT", 0.0001)],
)
def test_ccxt_pages_markets_trades_and_candles(tape, ccxt_told, kind, name, symbol, lot):
    seen, end = ccxt_told[0][kind], ccxt_told[1]
    trades = trades_of(tape, name, end)
    assert (seen["symbol"], seen["active"]) == (symbol, True)
    assert (seen["precision"]["price"], seen["precision"]["amount"]) == (0.01, lot)
    aggregates = [row[0] for row in seen["trades"]]
    assert aggregates == list(range(aggregates[0], aggregates[-1] + 1))
    assert len(aggregates) > 1000
    # ccxt asks for aggregates: each is one trade here, under another id.
    first = int(np.searchsorted(trades.ts, seen["since"] * 1000))
    expected = list(rows(trades).values())[first : first + len(aggregates)]
    assert [row[1:] for row in seen["trades"]] == expected
    candles = {row[0]: row[1:] for row in seen["candles"]}
    assert len(candles) >= 4
    assert list(candles) == list(range(min(candles), max(candles) + 60_000, 60_000))
    for start in list(candles)[:-1]:
        mine = trades.take(trades.ts // MINUTE == start // 60_000)
        volume = float(sum(Decimal(repr(size)) for size in mine.size.tolist()))
        bar = [mine.price[0], mine.price.max(), mine.price.min(), mine.price[-1], volume]
        assert candles[start] == bar
    assert seen["best"][1] - seen["best"][0] == pytest.approx(0.02)
    assert seen["ticker"] in trades.price
    assert len(seen["book"]) == 2


@pytest.mark.parametrize(("kind", "name"), [("watched spot", SPOT), ("watched linear", PERP)])
def test_ccxt_watches_trades_quotes_candles_and_the_book(tape, ccxt_told, kind, name):
    seen, end = ccxt_told[0][kind], ccxt_told[1]
    trades = trades_of(tape, name, end)
    known = rows(trades)
    assert len(seen["trades"]) >= 50
    assert all(known[number] == row for number, *row in seen["trades"])
    ids = [row[0] for row in seen["trades"]]
    assert ids == list(range(ids[0], ids[-1] + 1))
    bid, ask = seen["quote"]
    assert round((bid + ask) / 2, 2) in trades.price
    assert seen["candle"][0] % 60_000 == 0
    assert seen["candle"][4] in trades.price
    assert seen["book"][0] < seen["book"][1]


def test_python_binance_pages_and_watches(tape):
    seen, end = told(tape, "client_python_binance.py")
    trades = trades_of(tape, SPOT, end)
    assert seen["symbols"] == ["BTCUSDT"]
    assert {"filterType": "PRICE_FILTER", "minPrice": "0.01000000", "tickSize": "0.01000000"}.items() <= next(
        one.items() for one in seen["filters"] if one["filterType"] == "PRICE_FILTER"
    )
    known = {
        number: [ts, f"{price:.8f}", f"{size:.8f}", side == "sell"]
        for number, (ts, price, size, side) in rows(trades).items()
    }
    for listed in (seen["trades"], seen["watched"]):
        ids = [row[0] for row in listed]
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert all(known[number] == row for number, *row in listed)
    assert seen["trades"][0][0] == trades.ids[0]
    assert seen["aggregates"][: len(seen["trades"])] == [row[0] for row in seen["trades"]]
    assert sum(row[8] for row in seen["candles"]) >= len(seen["trades"])
    assert seen["streams"] == ["btcusdt@bookTicker", "btcusdt@kline_1m"]
    assert set(map(float, seen["futures"])) <= set(trades_of(tape, PERP, end).price.tolist())
