"""ccxt's classes for OKX and Bybit believe the simulator: what they tell is what is on the tape."""

import json
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.timeframes import MINUTE
from simulator.bybit import frames as bybit
from simulator.bybit.dialect import Bybit

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, served

CLIENT = Path(__file__).parent / "client_ccxt_okx_bybit.py"
# Symbol, name on the tape, Bybit's category and symbol, [spot, swap, linear, active], [tick, lot].
MARKETS = [
    ("BTC/USDT", "simulated:BTC-USDT", ("spot", "BTCUSDT"), [True, False, None, True], [0.01, 0.00001]),
    ("ETH/USDT:USDT", "simulated:ETH-USDT-PERP", ("linear", "ETHUSDT"), [False, True, True, True], [0.01, 0.0001]),
    ("SOL/USD:SOL", "simulated:SOL-USD-PERP", ("inverse", "SOLUSD"), [False, True, False, True], [0.01, 1.0]),
]


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture(scope="module", params=["okx", "bybit"])
def told(tape, request):
    """Run the client against a market that goes on five times as fast."""
    with served(tape, (tape.start // MINUTE + 30) * MINUTE) as market:
        done = threading.Event()
        ticking = threading.Thread(target=lambda: [market.advance(0.25) for _ in iter(lambda: done.wait(0.05), True)])
        now = market.exchange.venue_now() // 1000
        ticking.start()
        try:
            run = subprocess.run(
                [sys.executable, "-W", "ignore", str(CLIENT), str(market.port), request.param, str(now)],
                capture_output=True,
                timeout=240,
                check=False,
            )
        finally:
            done.set()
            ticking.join()
        assert run.returncode == 0, run.stderr.decode()[-2000:]
        shown = Bybit(market.exchange).markets if request.param == "bybit" else {}
        return shown, json.loads(run.stdout), market.exchange.now(), now


def rows(tape, shown, name, key, end):
    """Give the trades of the tape as the client tells them: [id, ms, price, size, side]."""
    trades = next(batch for batch in tape.between(0, end) if batch.instrument == name)
    ids = bybit.trade_ids(shown[key], trades) if shown else [str(number) for number in trades.ids.tolist()]
    sides = np.where(trades.side > 0, "buy", "sell").tolist()
    columns = (ids, (trades.ts // 1000).tolist(), trades.price.tolist(), trades.size.tolist(), sides)
    return list(map(list, zip(*columns, strict=True)))


def test_ccxt_loads_the_markets(told):
    _, seen, end, now = told
    assert seen["history"]["symbols"] == sorted(symbol for symbol, *_ in MARKETS)
    assert now <= seen["history"]["time"] <= end // 1000
    for symbol, _, _, kind, steps in MARKETS:
        assert (seen["history"][symbol]["kind"], seen["history"][symbol]["precision"]) == (kind, steps)


@pytest.mark.parametrize(("symbol", "name", "key"), [row[:3] for row in MARKETS])
def test_ccxt_fetches_trades_and_candles(told, tape, symbol, name, key):
    shown, seen, end, now = told
    known = rows(tape, shown, name, key, end)
    place = {row[0]: at for at, row in enumerate(known)}
    fetched = sorted(seen["history"][symbol]["trades"], key=lambda row: place[row[0]])
    older = sorted(seen["history"][symbol]["older"], key=lambda row: place[row[0]])
    assert (len(fetched), len(older)) == (50, 0 if shown else 100)
    first = place[(older or fetched)[0][0]]
    # Older ones are asked for before the first that ccxt gives, which of one millisecond may be any.
    union = {row[0]: row for row in older + fetched}
    assert list(union.values()) == [row for row in known[first:] if row[0] in union]
    candles = [row for row in seen["history"][symbol]["candles"] if row[0] + 60_000 <= now]
    assert [row[0] for row in candles] == list(range(now - 300_000, now, 60_000))
    for start, opening, high, low, close, volume in candles:
        mine = [row for row in known if start <= row[1] < start + 60_000]
        prices = [row[2] for row in mine]
        assert [opening, high, low, close] == [prices[0], max(prices), min(prices), prices[-1]]
        assert volume == ccxt_volume(shown, symbol, mine)


@pytest.mark.parametrize(("symbol", "name", "key"), [row[:3] for row in MARKETS])
def test_ccxt_watches_trades_candles_and_quotes(told, tape, symbol, name, key):
    shown, seen, end, _ = told
    known = rows(tape, shown, name, key, end)
    watched = {row[0]: row for row in seen["watched"][symbol]["trades"]}
    assert len(watched) >= 60
    counts = seen["watched"][symbol]["counts"]
    # Of messages that come together ccxt tells its caller only some, so that there may be holes here.
    for at, row in enumerate(known):
        if row[0] in watched:
            merged = known[at + 1 - counts[row[0]] : at + 1]
            size = float(sum(Decimal(repr(one[3])) for one in merged))
            assert watched[row[0]] == [*row[:3], size, row[4]]
            assert {(*one[1:3], one[4]) for one in merged} == {(*row[1:3], row[4])}
    assert len(set(watched) - {row[0] for row in known}) == 0
    assert max(counts.values()) == 1 if shown else max(counts.values()) > 1
    prices = {row[2] for row in known}
    assert seen["watched"][symbol]["candle"][4] in prices
    bid, ask = seen["watched"][symbol]["best"]
    assert round((bid + ask) / 2, 2) in prices


def ccxt_volume(shown, symbol, trades):
    """Give a candle's volume as ccxt reads it: of Bybit's inverse contracts the turnover, which is in coins."""
    total = sum(Decimal(repr(row[3])) for row in trades)
    if symbol == "SOL/USD:SOL":
        return pytest.approx(float(total) / trades[-1][2], rel=0.01)
    return float(total)
