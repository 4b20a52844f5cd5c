"""The lake: trades and candles in Parquet files, under a transactional catalog in PostgreSQL."""

from storage.lake.reader import history, last_authored, latest_candles, trade_batches, trades
from storage.lake.schema import create
from storage.lake.session import Session, connect
from storage.lake.writer import LakeWriter

__all__ = [
    "LakeWriter",
    "Session",
    "connect",
    "create",
    "history",
    "last_authored",
    "latest_candles",
    "trade_batches",
    "trades",
]
