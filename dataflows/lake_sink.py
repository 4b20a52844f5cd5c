"""The lake as a sink: all rows of an epoch, or of a few, and the position they reach, in one transaction."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from core.candles import CandleBatch
from core.klines import KlineBatch
from core.mark_prices import MarkPriceBatch
from core.quotes import QuoteBatch
from core.trades import TradeBatch
from dataflows.venue_rows import VenueBatch
from storage.lake import LakeWriter

PARTITION = "market"

_SMALL = 20_000
"""Rows of an epoch that is committed in the background: it is written to the recovery store, too."""

EPOCHS = 4
"""So many small epochs are committed together: each commit makes new files."""

_TABLES = {QuoteBatch: "quotes", MarkPriceBatch: "mark_prices", KlineBatch: "venue_candles"}
_Batch = TypeVar("_Batch", TradeBatch, CandleBatch, VenueBatch)


@dataclass(frozen=True, slots=True)
class LakeRows:
    """Hold rows for the lake that records of one feed led to; each row carries the offset of its record.

    ``reached`` says that all records up to that offset have been read (-1: it says nothing). ``told`` are quotes,
    mark prices and the venue's candles.
    """

    feed: str
    trades: Sequence[TradeBatch]
    candles: Sequence[CandleBatch]
    reached: int = -1
    told: Sequence[VenueBatch] = ()

    @property
    def last_offset(self) -> int:
        """Give the largest offset that this tells of."""
        batches = (*self.trades, *self.candles, *self.told)
        return max([self.reached, *(int(batch.offset.max()) for batch in batches)])


@dataclass(slots=True)
class Written:
    """Count what was committed."""

    trades: int = 0
    candles: int = 0
    told: dict[str, int] = field(default_factory=dict)
    """Rows of ``quotes``, ``mark_prices`` and ``venue_candles`` that were not stored before."""
    commits: int = 0
    at: float = field(default_factory=time.monotonic)
    """When the last commit ended, by the monotonic clock; before the first one, when counting began."""
    reached: dict[str, int] = field(default_factory=dict)
    """How far each feed was committed since then."""
    waiting: int = 0
    """Rows of epochs that have ended and are not committed yet; those of the open one are not counted."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Hold the rows of the last epochs that are not known to be committed.

    They are the sink's state in the recovery store: who recovers from there commits them, unless the lake has them.
    """

    rows: Sequence[LakeRows]


class LakeSink(FixedPartitionedSink[LakeRows, Pending | None]):
    """Write to the lake as its one author of live trades and of candles at revision 0.

    ``open_writer`` is called once, in the process that writes. With ``background`` (one thread, shut down before the
    writer's connection is closed) small epochs are committed beside the flow, which goes on meanwhile.
    """

    def __init__(
        self, open_writer: Callable[[], LakeWriter], written: Written, background: Executor | None = None
    ) -> None:
        self._open_writer = open_writer
        self._written = written
        self._background = background
        self._partition: LakePartition | None = None

    def list_parts(self) -> list[str]:
        """Give the one partition."""
        return [PARTITION]

    def part_fn(self, item_key: str) -> int:
        """Send everything to it."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Pending | None) -> "LakePartition":
        """Open the lake, and commit what the last run had left pending.

        The positions are read from the lake, not from the recovery store.
        """
        self._partition = LakePartition(self._open_writer(), self._written, self._background)
        if resume_state is not None:
            self._partition.adopt(resume_state)
        return self._partition

    def finish(self) -> None:
        """Commit every epoch that has ended, now; called from the flow's thread, or once it has ended."""
        if self._partition is not None:
            self._partition.finish()


class LakePartition(StatefulSinkPartition[LakeRows, Pending | None]):
    """Collect rows, and commit them when their epoch has ended.

    Rows of different instruments do not arrive in the order of their offsets, so nothing is committed before all
    of the epoch are here. After a crash the dataflow replays from its last snapshot: rows at or below the offset
    that the lake has committed are skipped.
    """

    def __init__(self, writer: LakeWriter, written: Written, background: Executor | None = None) -> None:
        self._writer = writer
        self._written = written
        self._background = background
        self._underway: Future[None] | None = None
        self._committed: Mapping[str, int] = writer.offsets()
        self._rows: list[LakeRows] = []
        self._ended: list[LakeRows] = []
        self._committing: list[LakeRows] = []
        self._epochs = 0

    def adopt(self, pending: Pending) -> None:
        """Commit what another partition has left, unless the lake has it."""
        # An earlier version has pickled rows without what the venue tells.
        self.write_batch(
            [LakeRows(r.feed, r.trades, r.candles, r.reached, getattr(r, "told", ())) for r in pending.rows]
        )
        self._ended, self._rows = self._rows, []
        self.finish()

    def write_batch(self, values: list[LakeRows]) -> None:
        """Collect the rows that are not committed yet."""
        for rows in values:
            after = self._committed.get(rows.feed, -1)
            trades = _behind(rows.trades, after)
            candles = _behind(rows.candles, after)
            told = _behind(rows.told, after)
            if trades or candles or told or rows.reached > after:
                self._rows.append(LakeRows(rows.feed, trades, candles, rows.reached, told))

    def snapshot(self) -> Pending | None:
        """Commit the epoch: all its rows and positions together, or nothing, which fails the epoch.

        Small epochs are committed in the background, a few together, and are part of the state until that is known
        to be done; what failed there fails a later epoch.
        """
        self._settle(wait=False)
        self._ended.extend(_joined(self._rows))
        self._rows = []
        self._epochs += bool(self._ended)
        count = _count(self._ended)
        if self._background is None or count > _SMALL:
            self.finish()
            return None
        if self._epochs >= EPOCHS or count > _SMALL // EPOCHS:
            self._settle(wait=True)
            self._committing, self._ended, self._epochs = self._ended, [], 0
            self._underway = self._background.submit(self._commit, self._committing)
        pending = [*self._committing, *self._ended]
        self._written.waiting = _count(pending)
        return Pending(pending) if pending else None

    def finish(self) -> None:
        """Commit every epoch that has ended, now."""
        self._settle(wait=True)
        if self._ended:
            self._commit(self._ended)
        self._ended, self._epochs, self._written.waiting = [], 0, 0

    def _settle(self, wait: bool) -> None:
        underway = self._underway
        if underway is not None and (wait or underway.done()):
            self._underway, self._committing = None, []
            underway.result()

    def _commit(self, rows: Sequence[LakeRows]) -> None:
        trades = [batch.to_arrow() for one in rows for batch in one.trades]
        candles = [batch.to_arrow() for one in rows for batch in one.candles]
        told: dict[str, list[pa.RecordBatch]] = {}
        for batch in (batch for one in rows for batch in one.told):
            told.setdefault(_TABLES[type(batch)], []).append(batch.to_arrow())
        reached: dict[str, int] = {}
        for one in rows:
            reached[one.feed] = max(one.last_offset, reached.get(one.feed, -1))
        stored = self._writer.commit(trades, candles, reached, told)
        self._written.trades += stored.pop("trades", 0)
        self._written.candles += sum(batch.num_rows for batch in candles)
        self._written.told = dict(Counter(self._written.told) + Counter(stored))
        self._written.commits += 1
        self._written.at = time.monotonic()
        self._written.reached = {**self._written.reached, **reached}
        self._committed = {**self._committed, **reached}


def _behind(batches: Sequence[_Batch], after: int) -> list[_Batch]:
    """Give what of the batches lies behind an offset, without empty ones."""
    found = []
    for batch in batches:
        if len(batch) and int(batch.offset.min()) <= after:
            batch = batch.take(np.flatnonzero(batch.offset > after))
        if len(batch):
            found.append(batch)
    return found


def _joined(rows: Sequence[LakeRows]) -> list[LakeRows]:
    """Give one item a feed, with what is alike in one batch.

    A live epoch is thousands of batches of a few rows: each by itself is slow to pickle and slow to write.
    """
    feeds = dict.fromkeys(one.feed for one in rows)
    return [
        LakeRows(
            feed,
            _alike([batch for one in rows if one.feed == feed for batch in one.trades]),
            _alike([batch for one in rows if one.feed == feed for batch in one.candles]),
            max(one.reached for one in rows if one.feed == feed),
            _alike([batch for one in rows if one.feed == feed for batch in one.told]),
        )
        for feed in feeds
    ]


def _alike(batches: Sequence[_Batch]) -> list[_Batch]:
    groups: dict[tuple[str, ...], list[Any]] = {}
    for batch in batches:
        groups.setdefault(_kind(batch), []).append(batch)
    return [type(parts[0]).concat(parts) for parts in groups.values()]


def _kind(batch: TradeBatch | CandleBatch | VenueBatch) -> tuple[str, ...]:
    if isinstance(batch, TradeBatch):
        return batch.instrument, batch.id_space
    if isinstance(batch, CandleBatch):
        return batch.instrument, batch.timeframe, str(batch.revision)
    return (type(batch).__name__,)


def _count(rows: Sequence[LakeRows]) -> int:
    return sum(len(batch) for one in rows for batch in (*one.trades, *one.candles, *one.told))
