"""From frames of a journal to trades and quotes in columns, and to the venue's candles and mark prices."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.by_instrument import numbered
from core.errors import MalformedFrame
from core.quotes import QuoteBatch
from core.records import Kind, Quarantined, RecordBlock
from core.trades import TradeBatch
from exchanges.columns import SPACES, Columns, QuoteColumns
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
_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class Told(Generic[_M]):
    """Hold a message with the journal offset of its frame and the time of receipt (µs since the epoch, UTC)."""

    offset: int
    received: int
    message: _M


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Hold what a block of frames says.

    ``batches``: one per instrument and id space, rows in the order of arrival, in the order of their first
    rows. ``malformed``: frames that cannot be read. ``counts``: messages by type (the tags of
    `exchanges.messages`), and frames that were ``ignored`` or ``malformed``. ``quotes`` (None: there are none),
    ``klines`` and ``mark_prices``: all that the frames tell, in the order of arrival.
    """

    batches: list[TradeBatch]
    malformed: list[Quarantined]
    counts: dict[str, int]
    quotes: QuoteBatch | None = None
    klines: list[Told[Kline]] = field(default_factory=list)
    mark_prices: list[Told[MarkPrice]] = field(default_factory=list)


@dataclass(slots=True)
class _Slow:
    rows: list[int] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    quotes: list[Told[Quote]] = field(default_factory=list)
    klines: list[Told[Kline]] = field(default_factory=list)
    mark_prices: list[Told[MarkPrice]] = field(default_factory=list)
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
    quotes = len(fast.quotes) if fast.quotes is not None else 0
    counts.update(trade=len(fast), quote=quotes, ignored=fast.ignored, malformed=len(slow.malformed))
    instruments: dict[str, int] = {}
    keys, rows = _rows(venue, fast, slow, instruments)
    batches = _group(block, list(instruments), keys, rows)
    return Decoded(
        batches,
        slow.malformed,
        {name: count for name, count in counts.items() if count},
        _quotes(venue, block, fast, slow.quotes),
        slow.klines,
        slow.mark_prices,
    )


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
            elif isinstance(message, Quote):
                slow.quotes.append(Told(block.first_offset + row, received, message))
            elif isinstance(message, Kline):
                slow.klines.append(Told(block.first_offset + row, received, message))
            elif isinstance(message, MarkPrice):
                slow.mark_prices.append(Told(block.first_offset + row, received, message))
    return slow


def _quotes(venue: Venue, block: RecordBlock, fast: Columns, parsed: list[Told[Quote]]) -> QuoteBatch | None:
    """Give all quotes in the order of their frames."""
    batches = [] if fast.quotes is None else [_scanned(venue, block, fast.symbols, fast.quotes)]
    if parsed:
        batches.append(_quoted(parsed))
    if len(batches) < 2:
        return batches[0] if batches else None
    both = QuoteBatch.concat(batches)
    return both.take(np.argsort(both.offset, kind="stable"))


def _scanned(venue: Venue, block: RecordBlock, symbols: list[str], quotes: QuoteColumns) -> QuoteBatch:
    names, number = numbered([venue.instrument(symbol).name for symbol in symbols])
    received = block.received[quotes.row]
    return QuoteBatch(
        names,
        number[quotes.symbol],
        np.where(quotes.ts > 0, quotes.ts, received),
        received,
        quotes.row + block.first_offset,
        quotes.ids,
        quotes.bid,
        quotes.bid_size,
        quotes.ask,
        quotes.ask_size,
    )


def _quoted(parsed: list[Told[Quote]]) -> QuoteBatch:
    names, number = numbered([told.message.instrument for told in parsed])
    return QuoteBatch(
        names,
        number,
        np.array([told.message.time for told in parsed], np.int64),
        np.array([told.received for told in parsed], np.int64),
        np.array([told.offset for told in parsed], np.int64),
        np.array([told.message.id for told in parsed], np.int64),
        np.array([float(told.message.bid) for told in parsed], np.float64),
        np.array([float(told.message.bid_size) for told in parsed], np.float64),
        np.array([float(told.message.ask) for told in parsed], np.float64),
        np.array([float(told.message.ask_size) for told in parsed], np.float64),
    )


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
