"""From frames of a journal to trades in columns, sorted by instrument."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.errors import MalformedFrame
from core.records import Kind, Quarantined, RecordBlock
from core.trades import TradeBatch
from exchanges.columns import SPACES, Columns
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Ping, Quote, Shutdown, Trade
from exchanges.venue import Venue

_TYPES: dict[type[Message], str] = {
    Trade: "trade",
    Quote: "quote",
    Kline: "kline",
    MarkPrice: "mark_price",
    Ping: "ping",
    Ack: "ack",
    ErrorReply: "error",
    Shutdown: "shutdown",
}
_SIDES = {"buy": 1, "sell": -1}


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Hold what a block of frames says.

    ``batches``: one per instrument and id space, rows in the order of arrival, in the order of their first
    rows. ``malformed``: frames that cannot be read. ``counts``: messages by type (the tags of
    `exchanges.messages`), and frames that were ``ignored`` or ``malformed``.
    """

    batches: list[TradeBatch]
    malformed: list[Quarantined]
    counts: dict[str, int]


@dataclass(slots=True)
class _Slow:
    rows: list[int] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    malformed: list[Quarantined] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def to_batches(venue: Venue, block: RecordBlock) -> Decoded:
    """Read a block whose records are all frames of ``venue``; pure, and total over the frames' bytes.

    Raises `ValueError` where a record is no frame: what to do with it is not this function's to say.
    """
    if np.any(block.kinds != Kind.FRAME):
        raise ValueError("a block to decode must hold frames only")
    starts = block.starts
    fast = venue.trades(block.payload, starts, block.sizes)
    slow = _parse_rest(venue, block, starts, fast.rest)
    counts = slow.counts
    counts.update(trade=len(fast), quote=fast.quotes, ignored=fast.ignored, malformed=len(slow.malformed))
    instruments: dict[str, int] = {}
    keys, rows = _rows(venue, fast, slow, instruments)
    batches = _group(block, list(instruments), keys, rows)
    return Decoded(batches, slow.malformed, {name: count for name, count in counts.items() if count})


def _parse_rest(venue: Venue, block: RecordBlock, starts: NDArray[np.int64], rest: NDArray[np.int64]) -> _Slow:
    slow = _Slow()
    columns = (rest, starts[rest], block.sizes[rest], block.received[rest])
    for row, start, size, received in zip(*(column.tolist() for column in columns), strict=True):
        frame = block.payload[start : start + size]
        try:
            messages = venue.parse(frame, received)
        except MalformedFrame as error:
            kept = frame[: Quarantined.KEPT_BYTES]
            slow.malformed.append(Quarantined(block.feed, block.first_offset + row, received, str(error), kept))
            continue
        if not messages:
            slow.counts["ignored"] += 1
        for message in messages:
            slow.counts[_TYPES[type(message)]] += 1
            if isinstance(message, Trade):
                slow.rows.append(row)
                slow.trades.append(message)
    return slow


def _rows(
    venue: Venue, fast: Columns, slow: _Slow, instruments: dict[str, int]
) -> tuple[NDArray[np.int64], TradeBatch]:
    """Give all trades in the order of their frames, and for each its instrument and space as one number.

    Numbers the ``instruments`` on the way. The batch is of no instrument yet; its ``offset`` is the frame's row.
    """

    def number(instrument: str) -> int:
        return instruments.setdefault(instrument, len(instruments))

    numbers = np.array([number(venue.instrument(symbol).name) for symbol in fast.symbols], np.int64)
    keys = numbers[fast.symbol] * len(SPACES) + fast.space
    unset = np.zeros(len(fast), np.int64)
    rows = TradeBatch("", "", fast.ids, fast.ts, unset, fast.price, fast.size, fast.side, fast.fills, fast.row)
    if not slow.trades:
        return keys, rows
    added = [number(trade.instrument) * len(SPACES) + SPACES.index(trade.id_space) for trade in slow.trades]
    keys = np.concatenate([keys, np.array(added, np.int64)])
    rows = TradeBatch.concat([rows, _columns(slow)])
    order = np.argsort(rows.offset, kind="stable")
    return keys[order], rows.take(order)


def _columns(slow: _Slow) -> TradeBatch:
    trades = slow.trades
    return TradeBatch(
        "",
        "",
        np.array([t.id for t in trades], np.int64),
        np.array([t.time for t in trades], np.int64),
        np.zeros(len(trades), np.int64),
        np.array([float(t.price) for t in trades], np.float64),
        np.array([float(t.size) for t in trades], np.float64),
        np.array([_SIDES[t.side] for t in trades], np.int8),
        np.array([t.fills for t in trades], np.int32),
        np.array(slow.rows, np.int64),
    )


def _group(block: RecordBlock, instruments: list[str], keys: NDArray[np.int64], rows: TradeBatch) -> list[TradeBatch]:
    if len(rows) == 0:
        return []
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    if len(first) == 1:
        parts: list[TradeBatch] = [rows]
    else:
        order = np.argsort(which, kind="stable")
        cuts = np.cumsum(np.bincount(which))[:-1]
        parts = [rows.take(part) for part in np.split(order, cuts)]
    batches = []
    for at in np.argsort(first):
        part = parts[at]
        number, space = divmod(int(keys[first[at]]), len(SPACES))
        # Not dataclasses.replace: a live block is a few frames, and this is paid for each of them.
        batches.append(
            TradeBatch(
                instruments[number],
                SPACES[space],
                part.ids,
                part.ts,
                block.received[part.offset],
                part.price,
                part.size,
                part.side,
                part.fills,
                part.offset + block.first_offset,
            )
        )
    return batches
