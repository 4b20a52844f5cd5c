"""The lake as a sink: all rows of an epoch and the position they reach, in one transaction, at the epoch's edge."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from core.candles import CandleBatch
from core.trades import TradeBatch
from storage.lake import LakeWriter

PARTITION = "market"


@dataclass(frozen=True, slots=True)
class LakeRows:
    """Hold rows for the lake that records of one feed led to; each row carries the offset of its record.

    ``reached`` says that all records up to that offset have been read (-1: it says nothing).
    """

    feed: str
    trades: Sequence[TradeBatch]
    candles: Sequence[CandleBatch]
    reached: int = -1


@dataclass(slots=True)
class Written:
    """Count what was committed."""

    trades: int = 0
    candles: int = 0
    commits: int = 0


class LakeSink(FixedPartitionedSink[LakeRows, None]):
    """Write to the lake as its one author of live trades and of candles at revision 0.

    ``open_writer`` is called once, in the process that writes.
    """

    def __init__(self, open_writer: Callable[[], LakeWriter], written: Written) -> None:
        self._open_writer = open_writer
        self._written = written

    def list_parts(self) -> list[str]:
        """Give the one partition."""
        return [PARTITION]

    def part_fn(self, item_key: str) -> int:
        """Send everything to it."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LakePartition":
        """Open the lake; the positions are read from there, not from the recovery store."""
        return LakePartition(self._open_writer(), self._written)


class LakePartition(StatefulSinkPartition[LakeRows, None]):
    """Collect rows, and commit them when the epoch ends.

    Rows of different instruments do not arrive in the order of their offsets, so nothing is committed before all
    of the epoch are here. After a crash the dataflow replays from its last snapshot: rows at or below the offset
    that the lake has committed are skipped.
    """

    def __init__(self, writer: LakeWriter, written: Written) -> None:
        self._writer = writer
        self._written = written
        self._committed: Mapping[str, int] = writer.offsets()
        self._reached: dict[str, int] = {}
        self._trades: list[pa.RecordBatch] = []
        self._candles: list[pa.RecordBatch] = []

    def write_batch(self, values: list[LakeRows]) -> None:
        """Collect the rows that are not committed yet."""
        for rows in values:
            after = self._committed.get(rows.feed, -1)
            if rows.reached > after:
                self._reached[rows.feed] = max(self._reached.get(rows.feed, -1), rows.reached)
            for batch in rows.trades:
                self._collect(rows.feed, batch, after, self._trades)
            for candles in rows.candles:
                self._collect(rows.feed, candles, after, self._candles)

    def _collect(self, feed: str, batch: TradeBatch | CandleBatch, after: int, into: list[pa.RecordBatch]) -> None:
        if len(batch) == 0:
            return
        if int(batch.offset.min()) <= after:
            batch = batch.take(np.flatnonzero(batch.offset > after))
            if len(batch) == 0:
                return
        into.append(batch.to_arrow())
        self._reached[feed] = max(self._reached.get(feed, -1), int(batch.offset.max()))

    def snapshot(self) -> None:
        """Commit the epoch: trades, candles and positions together, or nothing, which fails the epoch."""
        if not self._reached:
            return
        self._writer.commit(self._trades, self._candles, self._reached)
        self._written.trades += sum(batch.num_rows for batch in self._trades)
        self._written.candles += sum(batch.num_rows for batch in self._candles)
        self._written.commits += 1
        self._committed = {**self._committed, **self._reached}
        self._reached, self._trades, self._candles = {}, [], []
