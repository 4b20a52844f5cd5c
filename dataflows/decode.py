"""Decoding: records of a feed become arrivals of its instruments."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

from core.candle_fold import to_integers
from core.errors import IntegrityError, MalformedFrame
from core.instruments import Instrument
from core.records import Kind, Mark, Quarantined, RecordBlock, Tick
from core.timeframes import DAY
from core.trades import TradeBatch
from exchanges.decode import to_batches
from exchanges.registry import venue
from exchanges.venue import Venue

MOST_AHEAD = DAY
"""How far, in µs, a venue's time may be ahead of the time of receipt: clocks differ, but not by this much."""

_MARK = msgspec.json.Decoder(Mark)
_TICK = msgspec.json.Decoder(Tick)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Hold what a stretch of a feed's journal brought for one instrument: trades, or an event of the feed.

    ``offset`` is the journal offset of the last record of the stretch.
    """

    feed: str
    instrument: str
    offset: int
    trades: TradeBatch | None = None
    event: Mark | Tick | None = None


@dataclass(frozen=True, slots=True)
class Sighted:
    """Say that a feed brought an instrument for the first time, and which ids its trades have."""

    feed: str
    instrument: Instrument
    id_space: str


@dataclass(frozen=True, slots=True)
class Reached:
    """Say that a feed was read up to an offset, whatever that brought."""

    feed: str
    offset: int


Decoded = Arrivals | Sighted | Quarantined | Reached


class Decoder:
    """Decode the blocks of feeds, each in the dialect of its venue (``feeds`` maps a feed to it)."""

    def __init__(self, feeds: Mapping[str, str]) -> None:
        self._venues: dict[str, Venue] = {feed: venue(name) for feed, name in feeds.items()}

    def __call__(self, known: dict[str, str] | None, block: RecordBlock) -> tuple[dict[str, str], list[Decoded]]:
        """Decode a block. The state maps the instruments that the feed has brought so far to their id space."""
        known = dict(known or {})
        found: list[Decoded] = []
        for part in _of_one_kind(block):
            kind = Kind(int(part.kinds[0]))
            if kind is Kind.FRAME:
                decoded = to_batches(self._venues[part.feed], part)
                found.extend(decoded.malformed)
                for batch in decoded.batches:
                    found.extend(_arrive(known, part.feed, batch))
            else:
                for at, record in enumerate(part.records()):
                    offset = part.first_offset + at
                    try:
                        found.extend(_other(known, part.feed, kind, offset, record.payload))
                    except (MalformedFrame, msgspec.DecodeError, msgspec.ValidationError) as error:
                        found.append(
                            Quarantined(
                                part.feed,
                                offset,
                                record.received_at,
                                str(error)[:200],
                                record.payload[: Quarantined.KEPT_BYTES],
                            )
                        )
        found.append(Reached(block.feed, block.last_offset))
        return known, found


def _other(known: dict[str, str], feed: str, kind: Kind, offset: int, payload: bytes) -> list[Decoded]:
    if kind is Kind.TRADES:
        batch = TradeBatch.from_ipc(payload, offset)
        try:
            to_integers(batch.price)
            to_integers(batch.size)
        except IntegrityError as error:
            # Frames are read digit by digit; these came as doubles, and no fold could sum them exactly.
            raise MalformedFrame(str(error)) from None
        return _arrive(known, feed, batch)
    if kind is Kind.COMMAND:
        return []
    event = _MARK.decode(payload) if kind is Kind.MARK else _TICK.decode(payload)
    return [Arrivals(feed, name, offset, event=event) for name in known]


def _arrive(known: dict[str, str], feed: str, batch: TradeBatch) -> list[Decoded]:
    early = (batch.ts > batch.received + MOST_AHEAD) & (batch.received > 0)
    if early.any():
        refused, batch = batch.take(early), batch.take(~early)
        return [_from_the_future(feed, refused), *(_arrive(known, feed, batch) if len(batch) else [])]
    arrivals: list[Decoded] = [Arrivals(feed, batch.instrument, int(batch.offset[-1]), batch)]
    if batch.instrument not in known:
        known[batch.instrument] = batch.id_space
        return [Sighted(feed, Instrument.parse(batch.instrument), batch.id_space), *arrivals]
    return arrivals


def _from_the_future(feed: str, trades: TradeBatch) -> Quarantined:
    reason = (
        f"{len(trades)} trades of {trades.instrument} (ids from {trades.ids[0]}) are stamped more than a day after "
        "they were received: taken as they are they would make all that follow late"
    )
    return Quarantined(feed, int(trades.offset[-1]), int(trades.received[-1]), reason, b"")


def _of_one_kind(block: RecordBlock) -> list[RecordBlock]:
    edges = [0, *(np.flatnonzero(np.diff(block.kinds)) + 1).tolist(), len(block)]
    if len(edges) == 2:
        return [block]
    return [block.slice(low, high) for low, high in pairwise(edges)]
