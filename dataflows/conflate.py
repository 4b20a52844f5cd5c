"""Conflation: of each instrument and interval of receipt the last quote and mark price; a pure function over columns.

A row is let go by the first record of the feed that was received in another interval, and carries its offset. So the
rows depend on the records alone, not on the blocks in which they are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from core.by_instrument import ByInstrument
from core.mark_prices import MarkPriceBatch
from core.quotes import QuoteBatch
from core.records import RecordBlock

_Batch = TypeVar("_Batch", bound=ByInstrument)
_MOST_PARTS = 64
_MOST_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class Conflation:
    """Hold what of a feed waits for its interval to pass; a value, never changed in place.

    ``slot`` is the number of the interval since the epoch in which the last record was received; ``best`` the last
    quote of each instrument that was let go. What waits is sorted out now and then only: a live block is a few rows.
    """

    slot: int = -1
    quotes: tuple[QuoteBatch, ...] = ()
    mark_prices: tuple[MarkPriceBatch, ...] = ()
    best: QuoteBatch | None = None


@dataclass(frozen=True, slots=True)
class Conflated:
    """Hold the rows that a block let go, each with the offset of the record that did.

    ``known`` are the quotes that strategies may know of while the block is read: the last of each instrument that
    was let go before it, and those of ``quotes``.
    """

    quotes: QuoteBatch | None = None
    mark_prices: MarkPriceBatch | None = None
    known: QuoteBatch | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Cut a block into runs of records of one interval: ``of`` int64[n] counts them, run 0 being that of the state.

    ``starts`` int64 are the offsets of the first records of the runs 1, 2, …; ``first`` that of the block.
    """

    of: NDArray[np.int64]
    starts: NDArray[np.int64]
    first: int
    slot: int = field(default=-1)


def conflate(
    state: Conflation,
    block: RecordBlock,
    quotes: QuoteBatch | None,
    mark_prices: MarkPriceBatch | None,
    interval: int,
    ended: NDArray[np.int64],
) -> tuple[Conflation, Conflated]:
    """Take what the records of a block brought; ``interval`` is in µs, 0 lets every row go at once.

    A record without a time of receipt passes in the interval of the one before it; of rows that came so, their own
    time counts. ``ended`` are the indices of records that end a recording: they let everything go.
    """
    if quotes is None and mark_prices is None and not state.quotes and not state.mark_prices:
        return state, Conflated(known=state.best)
    if interval and len(ended) == 0 and _within(state.slot, block, interval):
        waiting = _waiting(state.quotes, quotes), _waiting(state.mark_prices, mark_prices)
        return Conflation(state.slot, *waiting, state.best), Conflated(known=state.best)
    brought = [batch for batch in (quotes, mark_prices) if batch is not None]
    runs = _runs(state.slot, block, brought, interval, ended)
    waiting_quotes, out_quotes = _let_go(state.quotes, quotes, runs, interval)
    waiting_prices, out_prices = _let_go(state.mark_prices, mark_prices, runs, interval)
    known = best = state.best
    if out_quotes is not None:
        known = QuoteBatch.concat([best, out_quotes]) if best is not None else out_quotes
        best = known.take(known.last_of_each(np.zeros(len(known), np.int64)))
    state = Conflation(runs.slot, waiting_quotes, waiting_prices, best)
    return state, Conflated(out_quotes, out_prices, known)


def _within(slot: int, block: RecordBlock, interval: int) -> bool:
    low, high = slot * interval, (slot + 1) * interval
    received = block.received
    return bool(
        received[0] >= low and received[-1] < high and low > 0 and received.min() >= low and received.max() < high
    )


def _waiting(waiting: tuple[_Batch, ...], brought: _Batch | None) -> tuple[_Batch, ...]:
    if brought is None:
        return waiting
    parts: tuple[_Batch, ...] = (*waiting, brought)
    if len(parts) <= _MOST_PARTS and sum(map(len, parts)) <= _MOST_ROWS:
        return parts
    rows = type(brought).concat(parts)
    return (rows.take(rows.last_of_each(np.zeros(len(rows), np.int64))),)


def _runs(
    slot: int, block: RecordBlock, brought: Sequence[ByInstrument], interval: int, ended: NDArray[np.int64]
) -> _Runs:
    clock = block.received
    if int(clock.min()) <= 0:
        clock = clock.copy()
        for batch in brought:
            rows = batch.offset - block.first_offset
            late = clock[rows] <= 0
            clock[rows[late]] = batch.ts[late]
    slots = clock // interval if interval else np.arange(block.first_offset, block.first_offset + len(block))
    if int(clock.min()) <= 0 and interval:
        last_known = np.maximum.accumulate(np.where(clock > 0, np.arange(len(clock)), -1))
        slots = np.where(last_known >= 0, slots[last_known], slot)
    changes = slots != np.concatenate(([slot], slots[:-1]))
    changes[ended] = True
    return _Runs(np.cumsum(changes), np.flatnonzero(changes) + block.first_offset, block.first_offset, int(slots[-1]))


def _let_go(
    waiting: tuple[_Batch, ...], brought: _Batch | None, runs: _Runs, interval: int
) -> tuple[tuple[_Batch, ...], _Batch | None]:
    parts = [*waiting, *([brought] if brought is not None else ())]
    if not parts:
        return (), None
    if interval == 0:
        # What waits from before the setting was changed is let go by the first record.
        rows = type(parts[0]).concat(parts)
        return (), rows.at(np.maximum(rows.offset, runs.first))
    rows = type(parts[0]).concat(parts)
    before = sum(map(len, waiting))
    run = np.zeros(len(rows), np.int64)
    run[before:] = runs.of[rows.offset[before:] - runs.first]
    last = rows.last_of_each(run)
    rows, run = rows.take(last), run[last]
    gone = run < len(runs.starts)
    out = rows.take(gone)
    kept = rows.take(~gone)
    return (kept,) if len(kept) else (), out.at(runs.starts[run[gone]]) if len(out) else None
