"""ccxt's classes for Deribit, Bitget and Upbit believe the simulator: what they tell is what is on the tape."""

import json
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.timeframes import MINUTE
from simulator.bitget import frames as bitget
from simulator.upbit import frames as upbit

sys.path.insert(0, str(Path(__file__).parent))
from served import every_kind_hour, served

CLIENT = Path(__file__).parent / "client_ccxt_others.py"
NAMES = {
    "BTC/USDT": "simulated:BTC-USDT",
    "ETH/USDT:USDT": "simulated:ETH-USDT-PERP",
    "SOL/USD:SOL": "simulated:SOL-USD-PERP",
}
LISTED = {"deribit": list(NAMES), "bitget": list(NAMES)[:2], "upbit": list(NAMES)[:1]}
KINDS = {
    "BTC/USDT": [True, False, None],
    "ETH/USDT:USDT": [False, True, True],
    "SOL/USD:SOL": [False, True, False],
}
STEPS = {"BTC/USDT": [0.01, 0.00001], "ETH/USDT:USDT": [0.01, 0.0001], "SOL/USD:SOL": [0.01, 1.0]}


@pytest.fixture(scope="module")
def tape():
    return every_kind_hour()


@pytest.fixture(scope="module", params=LISTED)
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
        return request.param, json.loads(run.stdout), market.exchange.now(), now


def rows(tape, venue, symbol, end):
    """Give the trades of the tape as the client tells them: [id, ms, price, size, side]."""
    trades = next(batch for batch in tape.between(0, end) if batch.instrument == NAMES[symbol])
    shown = {"bitget": bitget.IDS.shown, "upbit": upbit.IDS.shown}.get(venue, lambda ids: ids)(trades.ids)
    sides = np.where(trades.side > 0, "buy", "sell").tolist()
    columns = (shown.tolist(), (trades.ts // 1000).tolist(), trades.price.tolist(), trades.size.tolist(), sides)
    return list(map(list, zip(*columns, strict=True)))


def test_ccxt_loads_the_markets(told):
    venue, seen, end, now = told
    assert seen["history"]["symbols"] == sorted(LISTED[venue])
    for symbol, market in seen["history"]["told"].items():
        assert market["kind"] == KINDS[symbol]
        # Upbit does not tell steps: ccxt supposes eight decimals.
        assert market["precision"] == ([1e-8, 1e-8] if venue == "upbit" else STEPS[symbol])
    if venue != "upbit":
        assert now <= seen["history"]["time"] <= end // 1000


def test_ccxt_fetches_the_newest_trades(told, tape):
    venue, seen, end, _ = told
    for symbol, market in seen["history"]["told"].items():
        known = rows(tape, venue, symbol, end)
        # ccxt sorts by time alone: within a millisecond it keeps the venue's order, newest first.
        fetched = sorted(market["trades"])
        assert len(fetched) == 200
        first = known.index(fetched[0])
        assert known[first : first + 200] == fetched


def test_ccxt_fetches_candles(told, tape):
    venue, seen, end, now = told
    for symbol, market in seen["history"]["told"].items():
        trades = rows(tape, venue, symbol, end)
        candles = [row for row in market["candles"] if row[0] + 60_000 <= now]
        assert [row[0] for row in candles] == list(range(now - 300_000, now, 60_000))
        for start, opening, high, low, close, volume in candles:
            mine = [row for row in trades if start <= row[1] < start + 60_000]
            prices = [row[2] for row in mine]
            assert [opening, high, low, close] == [prices[0], max(prices), min(prices), prices[-1]]
            if symbol == "SOL/USD:SOL":
                # Sizes are dollars, and Deribit's volume is in coins.
                assert volume == pytest.approx(sum(row[3] / row[2] for row in mine), rel=0.01)
            else:
                assert volume == float(sum(Decimal(repr(row[3])) for row in mine))


def test_ccxt_watches_trades_and_candles(told, tape):
    venue, seen, end, _ = told
    for symbol in LISTED[venue]:
        known = rows(tape, venue, symbol, end)
        watched = sorted(seen["watched"][symbol]["trades"])
        assert len(watched) >= 60
        # Of messages that come together ccxt tells its caller only some, so that there may be holes here.
        ids = {row[0] for row in watched}
        expected = [row for row in known if row[0] in ids]
        if venue == "upbit":
            # ccxt takes the time of the message for the trade's.
            watched, expected = ([[row[0], *row[2:]] for row in side] for side in (watched, expected))
        assert watched == expected
        candles = seen["watched"][symbol]["candles"]
        last = candles if venue == "upbit" else candles[-1]
        assert last[0] % (1000 if venue == "upbit" else 60_000) == 0
        assert last[4] in {row[2] for row in known}
