from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.candles import CandleBatch
from core.gaps import DirtyMinute, Gap
from core.instruments import Instrument
from core.records import Kind, Quarantined, Record
from core.settings import Settings
from core.signals import Signal
from core.timeframes import MINUTE
from core.trades import TradeBatch
from storage.data_folder import DataFolder
from storage.journal import Journal
from storage.lake import LakeWriter, connect, create
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve

START = 1_736_121_600_000_000  # 2025-01-06 00:00 UTC
BTC = "binance:BTC-USDT"


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a data folder with ten minutes of one instrument, the last of them not proven."""
    folder = DataFolder(tmp_path_factory.mktemp("stored") / "data")
    with folder.hold("test"), serve(Settings(), folder) as address:
        migrate(address)
        lake = connect(address, str(folder.lake), read_only=False)
        create(lake)
        writer = LakeWriter(lake, "0")
        writer.commit([trades().to_arrow()], [candles().to_arrow()], {"binance": 7})
        lake.close()
        with Journal(folder.journal) as journal:
            journal.append("binance", [Record(Kind.FRAME, START, b"{}")] * 10)
        with Ledger(address) as ledger:
            ledger.see_instruments([Instrument.parse(BTC)], {BTC: "trade"})
            ledger.register_feed("binance", "binance")
            ledger.record(
                [Gap(BTC, "trade", 5, 6, START, START + 1, 2)], [], [DirtyMinute(BTC, START, "", 0, "proven")]
            )
            ledger.start_run("rsi-1", "rsi", BTC, "1m", {"length": 14}, "code")
            ledger.insert_signals([Signal("rsi-1", BTC, "1m", START, "long", 1.0, "RSI", 1.5, START + MINUTE)])
            ledger.quarantine([Quarantined("binance", 3, START, "bad", b"x")])
    return folder.path


def trades() -> TradeBatch:
    n = 600
    at = START + np.arange(n) * 1_000_000
    return TradeBatch(
        BTC,
        "trade",
        np.arange(1, n + 1),
        at,
        at + 5,
        100 + np.arange(n) / 100,
        np.full(n, 0.5),
        np.ones(n, dtype=np.int8),
        np.ones(n, dtype=np.int32),
        np.zeros(n, dtype=np.int64),
    )


def candles() -> CandleBatch:
    n = 10
    start = START + np.arange(n) * MINUTE
    price = 100 + np.arange(n, dtype=np.float64)
    sums = np.zeros((n, 2), dtype=np.uint64)
    sums[:, 0] = int(Decimal("1.5").scaleb(18))
    return CandleBatch(
        BTC,
        "1m",
        start,
        price,
        price + 1,
        price - 1,
        price,
        sums,
        sums,
        np.full(n, 60),
        sums,
        np.arange(n) < n - 1,
        np.zeros(n, dtype=np.int64),
    )
