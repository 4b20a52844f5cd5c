"""Where ids do not chain: trades that are fetched again once they are forgotten are stored and folded once."""

import json
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from worker import settings_of

from core.continuity_in_time import SPACE
from core.records import Kind, Mark, Record, RecordBlock, Reread
from core.remembered import FEWEST
from dataflows.running import run
from dataflows.system import opened
from exchanges.decode import to_batches
from exchanges.registry import venue

FEED, BTC = "f", "bybit:BTC-USDT-PERP"
T = 1_767_225_600_000  # 2026-01-01T00:00:00Z
BEFORE, MISSED, AFTER = range(21), (50, 51), range(100, 100 + FEWEST + 200)


def frame(ms, *numbers):
    rows = [
        {"T": ms, "s": "BTCUSDT", "S": "Buy", "v": "1", "p": "100.5", "i": f"20f43950-d8dd-5b31-9112-{n:012d}"}
        for n in numbers
    ]
    message = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": ms, "data": rows}
    return Record(Kind.FRAME, (ms + 50) * 1000, json.dumps(message).encode())


def moment(n):
    return T + (n - 60) * 100 if n >= AFTER[0] else T + n * 50


def test_what_is_forgotten_and_fetched_again_in_the_same_commit_is_stored_and_folded_once(tmp_path):
    late = T + 400_000
    edges = (BEFORE[-1], *MISSED, *AFTER[:3])
    answer = RecordBlock.of(FEED, 0, [frame(moment(n), n) for n in edges])
    page = to_batches(venue("bybit-linear"), answer).batches
    assert sum(map(len, page)) == len(edges)
    records = [
        Mark("connected", "c", instruments=(BTC,)).record(T * 1000),
        *(frame(moment(n), n) for n in BEFORE),
        Mark("lost", "c", "lost_connection", (BTC,)).record((T + 2000) * 1000),
        Mark("connected", "c", instruments=(BTC,)).record((T + 3500) * 1000),
        *(frame(moment(n), n) for n in AFTER),
        *(Record(Kind.TRADES, late * 1000, one.to_ipc()) for one in page),
        Reread(BTC, SPACE, moment(BEFORE[-1]) * 1000, moment(AFTER[0]) * 1000, "closed").record(late * 1000),
        Mark("ended").record(late * 1000 + 1),
    ]
    with opened(settings_of(tmp_path / "data"), "test") as system:
        system.ledger.register_feed(FEED, "bybit-linear")
        system.journal.append(FEED, records)
        reading = system.reading(until=system.journal.last_offset)
        run(system.flow(reading), system.recovery, reading)
        system.revise()
        cursor = system.session.cursor()
        found = [i for (i,) in cursor.execute("SELECT trade_id FROM lake.trades ORDER BY 1").fetchall()]
        assert len(found) == len(set(found)) == len(BEFORE) + len(MISSED) + len(AFTER)
        assert set(np.concatenate([one.ids for one in page]).tolist()) <= set(found)
        first = cursor.execute(
            "SELECT volume, trade_count, complete FROM lake.candles WHERE timeframe = '1m'"
            " AND start = '2026-01-01' ORDER BY revision DESC LIMIT 1"
        ).fetchone()
    within = sum(moment(n) < T + 60_000 for n in (*BEFORE, *MISSED, *AFTER))
    assert first == (Decimal(within), within, False)
