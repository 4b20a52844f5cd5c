"""Folding stored trades into candles again, as fast as they can be read: for backfill and revision."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from core.candle_fold import CandleFold, flush, fold_trades
from core.candles import CandleBatch
from core.errors import IntegrityError
from core.trades import TradeBatch
from dataflows.read_ahead import read_ahead

COLUMNS = ("trade_id", "ts", "price", "size", "side", "fills")
"""What is read of a stored trade: the columns of `core.trades.TRADES_SCHEMA` that candles depend on."""


def fold_stored(
    state: CandleFold, batches: Iterable[pa.RecordBatch], until: int | None = None
) -> Iterator[CandleBatch]:
    """Fold stored trades of one instrument from ``state`` on; yield the candles that close, in order of start.

    ``batches`` hold `COLUMNS`, others are left alone; their rows stand in the order of event time, as the lake's
    files and `storage.lake.trade_batches` have them. They are read and decoded in a thread of their own while
    the one before is folded. ``until`` (µs since the epoch, UTC) lets time pass to the end of a range; without
    it, everything is closed at the end. ``complete`` is all false: telling it takes the coverage, which is the
    caller's. Raises `IntegrityError` where a trade comes after its candle has closed: the rows are out of order.

    Example:
        >>> state = CandleFold.start("binance:BTC-USDT", TIMEFRAMES["1m"], lateness=0)
        >>> candles = list(fold_stored(state, ParquetFile(path).iter_batches(columns=COLUMNS)))
    """
    for trades in read_ahead(_columns(state.instrument, batches)):
        state, folded = fold_trades(state, trades)
        if len(folded.late):
            raise IntegrityError(
                f"stored trades of {state.instrument} are out of order at id {trades.ids[folded.late[0]]}: "
                "read them in order of event time"
            )
        if len(folded.closed):
            yield folded.closed
    _, folded = flush(state) if until is None else fold_trades(state, None, until)
    if len(folded.closed):
        yield folded.closed


def _columns(instrument: str, batches: Iterable[pa.RecordBatch]) -> Iterator[TradeBatch]:
    for rows in batches:
        if rows.num_rows == 0:
            continue
        ts = _numbers(rows, "ts")
        yield TradeBatch(
            instrument,
            "",
            _numbers(rows, "trade_id"),
            ts,
            ts,
            _numbers(rows, "price"),
            _numbers(rows, "size"),
            _numbers(rows, "side"),
            _numbers(rows, "fills"),
            np.full(rows.num_rows, -1, dtype=np.int64),
        )


def _numbers(rows: pa.RecordBatch, name: str) -> Any:
    column = rows.column(name)
    return np.asarray(column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column)
