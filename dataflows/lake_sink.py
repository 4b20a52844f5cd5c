"""The lake as a sink: all rows of an epoch, or of a few, and the position they reach, in one transaction."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from core.candles import CandleBatch
from core.trades import TradeBatch
from dataflows.epoch_rows import EpochRows
from dataflows.venue_rows import VenueBatch
from storage.lake import LakeWriter

PARTITION = "market"

_SMALL = 20_000
"""Rows of an epoch that is committed in the background: it is written to the recovery store, too."""

EPOCHS = 4
"""So many small epochs are committed together: each commit makes new files."""

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
    An earlier version has left them as they came.
    """

    rows: Sequence[EpochRows | LakeRows]


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
        # What lies at or below is stored. Once an epoch has gone further, nothing below it comes any more.
        self._skipped = dict(writer.offsets())
        self._rows: list[LakeRows] = []
        self._ended: list[EpochRows] = []
        self._committing: list[EpochRows] = []
        self._epochs = 0

    def adopt(self, pending: Pending) -> None:
        """Commit what another partition has left, unless the lake has it."""
        for rows in pending.rows:
            if isinstance(rows, EpochRows):
                after = self._skipped.get(rows.feed, -1)
                if rows.last_offset > after:
                    self._ended.append(rows.behind(after))
            else:
                # An earlier version has pickled rows without what the venue tells.
                told = getattr(rows, "told", ())
                self.write_batch([LakeRows(rows.feed, rows.trades, rows.candles, rows.reached, told)])
        self._ended.extend(_gathered(self._rows))
        self._rows = []
        self.finish()
        self._skipped = dict(self._writer.offsets())

    def write_batch(self, values: list[LakeRows]) -> None:
        """Collect the rows that are not committed yet."""
        for rows in values:
            after = self._skipped.get(rows.feed)
            if after is None:
                self._rows.append(rows)
                continue
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
        ended = _gathered(self._rows)
        self._ended.extend(ended)
        self._rows = []
        for rows in ended:
            if rows.reached > self._skipped.get(rows.feed, rows.reached):
                del self._skipped[rows.feed]
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

    def _commit(self, rows: Sequence[EpochRows]) -> None:
        tables: dict[str, list[pa.RecordBatch]] = {"trades": [], "candles": []}
        reached: dict[str, int] = {}
        for one in rows:
            reached[one.feed] = max(one.last_offset, reached.get(one.feed, -1))
            for name, columns in one.tables.items():
                tables.setdefault(name, []).append(columns.rows)
        trades, candles = tables.pop("trades"), tables.pop("candles")
        stored = self._writer.commit(trades, candles, reached, tables)
        self._written.trades += stored.pop("trades", 0)
        self._written.candles += sum(batch.num_rows for batch in candles)
        self._written.told = dict(Counter(self._written.told) + Counter(stored))
        self._written.commits += 1
        self._written.at = time.monotonic()
        self._written.reached = {**self._written.reached, **reached}


def _behind(batches: Sequence[_Batch], after: int) -> list[_Batch]:
    """Give what of the batches lies behind an offset, without empty ones."""
    found = []
    for batch in batches:
        if len(batch) and int(batch.offset.min()) <= after:
            batch = batch.take(np.flatnonzero(batch.offset > after))
        if len(batch):
            found.append(batch)
    return found


def _gathered(rows: Sequence[LakeRows]) -> list[EpochRows]:
    """Give one item a feed."""
    by_feed: dict[str, list[LakeRows]] = {}
    for one in rows:
        by_feed.setdefault(one.feed, []).append(one)
    found = [
        EpochRows.of(
            feed,
            max(one.reached for one in parts),
            [batch for one in parts for batch in one.trades if len(batch)],
            [batch for one in parts for batch in one.candles if len(batch)],
            [batch for one in parts for batch in one.told if len(batch)],
        )
        for feed, parts in by_feed.items()
    ]
    return [one for one in found if one.last_offset >= 0]


def _count(rows: Sequence[EpochRows]) -> int:
    return sum(map(len, rows))
