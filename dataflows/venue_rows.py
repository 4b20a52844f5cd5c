"""What the venue tells beside its trades, as rows for the lake: quotes, mark prices and its own candles."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeAlias, TypeVar

import msgspec
import numpy as np

from core.by_instrument import numbered
from core.klines import KlineBatch
from core.mark_prices import UNTOLD, MarkPriceBatch
from core.quotes import QuoteBatch
from core.records import Kind, Mark, Quarantined, RecordBlock
from core.timeframes import HOUR
from dataflows.conflate import Conflation, conflate
from dataflows.unreadable import BREAK
from dataflows.venue_klines import OpenKlines, close_klines
from exchanges import bounds
from exchanges.decode import Decoded, Told
from exchanges.messages import Kline, MarkPrice

VenueBatch: TypeAlias = QuoteBatch | MarkPriceBatch | KlineBatch
"""Rows of many instruments."""

_MOST_AHEAD = HOUR
_EARLY = "is stamped more than an hour after it was received"
_MARK = msgspec.json.Decoder(Mark)
_KIND = bytes([Kind.MARK])
_NONE = np.empty(0, np.int64)
_M = TypeVar("_M", Kline, MarkPrice)
_Price = tuple[float, float, float, int]
_UNTOLD: _Price = (math.nan, math.nan, math.nan, UNTOLD)


@dataclass(frozen=True, slots=True)
class VenueState:
    """Hold what is known of a feed beside its trades; a value, never changed in place.

    ``prices`` are the mark price, index price, funding rate and time of funding that each instrument was told last.
    """

    conflation: Conflation = field(default_factory=Conflation)
    klines: OpenKlines = field(default_factory=OpenKlines)
    prices: Mapping[str, _Price] = field(default_factory=dict)

    @property
    def waits(self) -> bool:
        """Tell whether the passing of time or a mark may change anything."""
        return bool(self.conflation.quotes or self.conflation.mark_prices or self.klines.open)


@dataclass(slots=True)
class Heard:
    """Collect what the frames of one block tell beside trades."""

    quotes: list[QuoteBatch] = field(default_factory=list)
    klines: list[Told[Kline]] = field(default_factory=list)
    mark_prices: list[Told[MarkPrice]] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)

    def take(self, decoded: Decoded) -> None:
        """Add what some of the block's frames tell."""
        if decoded.quotes is not None:
            self.quotes.append(decoded.quotes)
        self.klines.extend(decoded.klines)
        self.mark_prices.extend(decoded.mark_prices)
        self.unreadable.extend(one.offset for one in decoded.malformed)


@dataclass(frozen=True, slots=True)
class VenueRows:
    """Hold the rows that a block led to, each with the offset of the record that did.

    ``known`` are the quotes that whoever decides on a candle of the block may know: ``known.best(instrument,
    offset)`` is the last one when the record at ``offset`` was read (`dataflows.conflate.Conflated`). ``unread`` is
    what could not be taken.
    """

    told: Sequence[VenueBatch] = ()
    known: QuoteBatch | None = None
    unread: Sequence[Quarantined] = ()


def tell(state: VenueState, block: RecordBlock, heard: Heard, interval: int) -> tuple[VenueState, VenueRows]:
    """Give what the records of a block show to be rows; ``interval`` is that of the conflation in µs."""
    if not state.waits and not (heard.quotes or heard.klines or heard.mark_prices):
        return state, VenueRows(known=state.conflation.best)
    quotes, unread = _placed_quotes(block.feed, heard.quotes)
    klines = _placed(block.feed, heard.klines, lambda kline: kline.start, unread)
    mark_prices = _placed(block.feed, heard.mark_prices, lambda price: price.time, unread)
    marks = _marks(block)
    prices, priced = _merged(state.prices, mark_prices)
    ends = [offset - block.first_offset for offset, mark in marks if mark.mark == "ended"]
    ended = np.array(ends, np.int64) if ends else _NONE
    conflation, conflated = conflate(state.conflation, block, quotes, priced, interval, ended)
    breaks = sorted([*marks, *((offset, BREAK[0]) for offset in heard.unreadable)], key=itemgetter(0))
    candles, closed = close_klines(state.klines, klines, breaks)
    told = [batch for batch in (conflated.quotes, conflated.mark_prices, closed) if batch is not None]
    if conflation is not state.conflation or candles is not state.klines or prices is not state.prices:
        state = VenueState(conflation, candles, prices)
    return state, VenueRows(told, conflated.known, unread)


def _placed_quotes(feed: str, batches: Sequence[QuoteBatch]) -> tuple[QuoteBatch | None, list[Quarantined]]:
    if not batches:
        return None, []
    quotes = QuoteBatch.concat(batches)
    # Without a time of receipt and of the venue, as frames from a bare file may be, a quote has no place.
    timeless = quotes.ts < bounds.EARLIEST
    early = quotes.ts > quotes.received + _MOST_AHEAD
    if not timeless.any() and not early.any():
        return quotes, []
    early &= quotes.received > 0
    unread = []
    for at in np.flatnonzero(early).tolist():
        names = ("ts", "ids", "bid", "bid_size", "ask", "ask_size")
        values = {name: getattr(quotes, name)[at].item() for name in names}
        unread.append(
            _unread(
                feed, int(quotes.offset[at]), int(quotes.received[at]), quotes.names[quotes.instrument[at]], values
            )
        )
    kept = quotes.take(~(timeless | early))
    return kept if len(kept) else None, unread


def _placed(
    feed: str, told: Sequence[Told[_M]], time: Callable[[_M], int], unread: list[Quarantined]
) -> list[Told[_M]]:
    placed = []
    for one in told:
        if 0 < one.received < time(one.message) - _MOST_AHEAD:
            unread.append(_unread(feed, one.offset, one.received, one.message.instrument, one.message))
        elif time(one.message) >= bounds.EARLIEST:
            placed.append(one)
    return placed


def _unread(feed: str, offset: int, received: int, instrument: str, content: object) -> Quarantined:
    payload = msgspec.json.encode(content)[: Quarantined.KEPT_BYTES]
    return Quarantined(feed, offset, received, f"what is told of {instrument} {_EARLY}", payload)


def _marks(block: RecordBlock) -> list[tuple[int, Mark]]:
    # A live block is a few records: looking for the byte is a tenth of comparing columns.
    if _KIND not in block.kinds.tobytes():
        return []
    rows = np.flatnonzero(block.kinds == Kind.MARK)
    starts, marks = block.starts, []
    for row in rows.tolist():
        start = int(starts[row])
        try:
            mark = _MARK.decode(block.payload[start : start + int(block.sizes[row])])
        except msgspec.MsgspecError:
            # The decoder quarantines it.
            continue
        marks.append((block.first_offset + row, mark))
    return marks


def _merged(
    known: Mapping[str, _Price], told: Sequence[Told[MarkPrice]]
) -> tuple[Mapping[str, _Price], MarkPriceBatch | None]:
    """Fill in what each update leaves out with what was told before."""
    if not told:
        return known, None
    prices = dict(known)
    rows = []
    for one in told:
        price = one.message
        before = prices.get(price.instrument, _UNTOLD)
        prices[price.instrument] = (
            before[0] if price.mark is None else float(price.mark),
            before[1] if price.index is None else float(price.index),
            before[2] if price.funding_rate is None else float(price.funding_rate),
            before[3] if price.next_funding is None else price.next_funding,
        )
        rows.append(prices[price.instrument])
    names, instrument = numbered([one.message.instrument for one in told])
    mark, index, funding_rate, next_funding = zip(*rows, strict=True)
    return prices, MarkPriceBatch(
        names,
        instrument,
        np.array([one.message.time for one in told], np.int64),
        np.array([one.received for one in told], np.int64),
        np.array([one.offset for one in told], np.int64),
        np.array(mark, np.float64),
        np.array(index, np.float64),
        np.array(funding_rate, np.float64),
        np.array(next_funding, np.int64),
    )
