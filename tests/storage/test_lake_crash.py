import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from storage import lake

ROOT = Path(__file__).parents[2]
ROWS = 7
KILLS = 5
T = 1_723_161_599_000_000

WRITER = f"""
import json, sys
import numpy as np
from decimal import Decimal
from pydantic import SecretStr
from core.candles import CandleBatch
from core.trades import TradeBatch
from storage.lake import LakeWriter, connect
from storage.ledger.address import Address

given = json.loads(sys.stdin.readline())
path = given.pop("path")
address = Address(**given | {{"password": SecretStr(given["password"])}})
writer = LakeWriter(connect(address, path, read_only=False), "p0")
print("ready", flush=True)
offset = writer.offsets().get("feed", -1)
while True:
    offset += 1
    n = np.arange(offset * {ROWS}, (offset + 1) * {ROWS})
    one = np.ones({ROWS})
    side, fills = one.astype(np.int8), one.astype(np.int32)
    # A second a trade: now and then a commit spans two days, and so two files.
    ts = {T} + n * 1_000_000
    trades = TradeBatch("binance:BTC-USDT", "trade", n, ts, ts, one, one, side, fills, n).to_arrow()
    words = np.zeros(({ROWS}, 2), dtype=np.uint64)
    ints = n.astype(np.int64)
    candles = CandleBatch(
        "binance:BTC-USDT", "1s", ts, one, one, one, one, words, words, ints, words, one.astype(bool), ints
    ).to_arrow()
    writer.commit([trades], [candles], {{"feed": offset}})
"""


def start(address, path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    given = {
        "host": address.host,
        "port": address.port,
        "user": address.user,
        "password": address.password.get_secret_value(),
        "ledger_db": address.ledger_db,
        "lake_db": address.lake_db,
        "path": path,
    }
    process.stdin.write(json.dumps(given) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"
    return process


def offset_of(connection):
    return lake.LakeWriter(connection, "p0").offsets().get("feed", -1)


def test_what_is_committed_is_there_once_after_kill_9(lake_address, lake_connection, tmp_path):
    chance = random.Random(7)
    committed = -1
    for _ in range(KILLS):
        process = start(lake_address, str(tmp_path / "files"))
        try:
            # On a slow machine a commit takes longer than that: one at least is waited for in every round.
            time.sleep(chance.uniform(0.1, 0.6))
            deadline = time.monotonic() + 30
            while offset_of(lake_connection) <= committed and time.monotonic() < deadline:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 0.2))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        offset = offset_of(lake_connection)
        assert offset >= committed
        committed = offset
        for table, number in (("trades", "trade_id"), ("candles", "trade_count")):
            found = lake_connection.execute(f"SELECT {number} FROM lake.{table} ORDER BY 1").fetchall()
            assert found == [(n,) for n in range((committed + 1) * ROWS)]
    assert committed > 0
