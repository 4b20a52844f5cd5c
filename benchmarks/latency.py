"""From a frame that leaves the socket to the signal that it leads to, at 5,000 trades/s, through the real processes.

Every frame is sent by a bare websocket server that notes when; each second closes a candle of every instrument, and
prices are such that each closed candle is a signal. The baseline is a bare client of the same server.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.machine import scratch
from benchmarks.table import Row
from core.settings import CandleSettings, FeedSettings, MetricsSettings, Settings, StrategySettings
from dataflows.system import opened

RATE = 5_000
FEW, MANY = 3, 20
SECONDS = 40
WARM_UP = 8


def settings_of(data: Path, port: int, symbols: int) -> Settings:
    """Give the settings of the measured system; the venue is the bench's own server."""
    return Settings(
        data=data,
        feeds=(
            FeedSettings(
                name="simulated",
                instruments=tuple(f"simulated:{symbol_base(i)}-USDT" for i in range(symbols)),
                websocket_url=f"ws://127.0.0.1:{port}",
                rest_url=f"http://127.0.0.1:{port}",
                history_minutes=0,
            ),
        ),
        candles=CandleSettings(timeframes=("1m",)),
        strategies=(
            StrategySettings(
                name="rsi", timeframe="1s", params={"length": 2, "oversold": 49.99, "overbought": 50.01}
            ),
        ),
        metrics=MetricsSettings(port=0),
    )


def symbol_base(number: int) -> str:
    return f"{chr(65 + number)}{chr(65 + number)}{chr(65 + number)}"


def child(*words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "benchmarks.latency_child", *words]
    return subprocess.Popen(
        argv, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str], what: object = None) -> dict[str, float]:
    """Tell a child to end, and give what it noted: its last line."""
    told, _ = process.communicate("end\n", timeout=120)
    found: dict[str, float] = json.loads(told.splitlines()[-1])
    return found


def bare(seconds: int, symbols: int) -> np.ndarray:
    """Give the seconds that each frame takes to a bare client."""
    server = child("server", str(seconds), str(symbols))
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    client = child("client", port)
    time.sleep(seconds)
    received, sent = ended(client), ended(server)
    return np.array([at - sent[key] for key, at in received.items() if key in sent])


def through(folder: Path, seconds: int, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the seconds to the signal computed, and to the signal committed, after the warm-up."""
    server = child("server", str(seconds), str(symbols))
    assert server.stdout is not None
    port = server.stdout.readline().strip()
    settings = settings_of(folder / "data", int(port), symbols)
    with opened(settings, "benchmark"):
        market = child("market", str(settings.data), port, str(symbols))
        assert market.stdout is not None
        market.stdout.readline()
        recorder = child("recorder", str(settings.data), port, str(symbols))
        time.sleep(seconds)
        ended(recorder)
        noted, sent = ended(market), ended(server)
    first = min(sent.values()) + WARM_UP
    pairs = {key: at for key, at in sent.items() if at > first and f"computed {key}" in noted}
    assert len(pairs) > symbols, f"only {len(pairs)} candles closed under observation"
    return tuple(
        np.array([noted[f"{what} {key}"] - at for key, at in pairs.items() if f"{what} {key}" in noted])
        for what in ("computed", "committed")
    )


def rows(quick: bool = False) -> list[Row]:
    return [row for symbols in (FEW, MANY) for row in _rows(symbols, quick)]


def _rows(symbols: int, quick: bool) -> list[Row]:
    with scratch() as folder:
        baseline = np.percentile(bare(8 if quick else 15, symbols), [50, 99]) * 1000
        found = through(folder, 15 if quick else SECONDS, symbols)
    computed, committed = (np.percentile(times, [50, 99]) * 1000 for times in found)
    work = f"frame that closes a candle → signal, {RATE:,} trades/s, {symbols} instruments, {len(found[0])} candles"
    bare_text = f"bare websockets {_text(baseline)}"
    return [
        Row(f"{work}: computed p50 / p99", _text(computed), "p99 ≤ 5 ms", bare_text, bool(computed[1] <= 5)),
        Row(
            f"the same, {symbols} instruments, committed p50 / p99",
            _text(committed),
            "p50 ≤ 10 ms, p99 ≤ 30 ms",
            bare_text,
            bool(committed[0] <= 10 and committed[1] <= 30),
        ),
    ]


def _text(pair: np.ndarray) -> str:
    return f"{pair[0]:.1f} / {pair[1]:.1f} ms"


if __name__ == "__main__":
    for row in rows("--quick" in sys.argv):
        print(row)
