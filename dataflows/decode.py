"""Decoding: records of a feed become arrivals of its instruments."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec
import numpy as np

from core.continuity_in_time import SPACE
from core.errors import IntegrityError, MalformedFrame, UserError
from core.exact import to_integers
from core.instruments import Instrument
from core.quotes import QuoteBatch
from core.records import Command, Kind, Listing, Mark, Quarantined, RecordBlock, Reread, Tick, VenueCandles
from core.timeframes import timeframe
from core.trades import TradeBatch
from dataflows import warm_up
from dataflows.unreadable import BREAK, MOST_AHEAD, around, around_refused, too_early
from dataflows.venue_rows import Heard, VenueBatch, VenueState, tell
from exchanges import bounds
from exchanges.decode import to_batches
from exchanges.registry import venue
from exchanges.venue import Venue

_MARK = msgspec.json.Decoder(Mark)
_TICK = msgspec.json.Decoder(Tick)
_COMMAND = msgspec.json.Decoder(Command)
_CANDLES = msgspec.json.Decoder(VenueCandles)
_LISTING = msgspec.json.Decoder(Listing)
_REREAD = msgspec.json.Decoder(Reread)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Hold what a stretch of a feed's journal brought for one instrument: trades, or an event of the feed.

    ``offset`` is the journal offset of the last record of the stretch. ``live`` trades came over a connection, others
    were fetched or read from files. ``quotes`` are the latest of the feed's instruments, and those of the stretch.
    """

    feed: str
    instrument: str
    offset: int
    trades: TradeBatch | None = None
    event: Mark | Tick | VenueCandles | Reread | None = None
    live: bool = True
    quotes: QuoteBatch | None = None


@dataclass(frozen=True, slots=True)
class Sighted:
    """Say that a feed brought an instrument for the first time, and which ids its trades have.

    With ``told_at`` (µs since the epoch, UTC) it is what the venue said of it then, and no trade needs to have come.
    """

    feed: str
    instrument: Instrument
    id_space: str
    told_at: int = 0


@dataclass(frozen=True, slots=True)
class Reached:
    """Say that a feed was read up to an offset, and which rows that led to beside its trades."""

    feed: str
    offset: int
    told: Sequence[VenueBatch] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """Hold what is known of a feed: the instruments whose trades it has brought so far, with their id space.

    No ticks go to the ``silent`` ones: they are recorded no longer. Of these, ``awaited`` are subscribed again: their
    next trade ends the silence, which one that was on its way when they were taken out does not.
    """

    known: Mapping[str, str] = field(default_factory=dict)
    venue: VenueState = field(default_factory=VenueState)
    silent: frozenset[str] = frozenset()
    awaited: frozenset[str] = frozenset()


Decoded = Arrivals | Sighted | Quarantined | Reached


@dataclass(slots=True)
class _Followed:
    known: dict[str, str]
    silent: set[str]
    awaited: set[str]

    @classmethod
    def of(cls, state: FeedState) -> "_Followed":
        # An earlier version has pickled the first two fields only.
        sets = (set(getattr(state, name, ())) for name in ("silent", "awaited"))
        return cls(dict(state.known), *sets)

    def take_out(self, name: str) -> None:
        self.silent.add(name)
        self.awaited.discard(name)

    def take_in(self, names: Iterable[str]) -> None:
        self.awaited.update(self.silent.intersection(names))

    def heard(self, name: str) -> None:
        if name in self.awaited:
            self.awaited.discard(name)
            self.silent.discard(name)


class Decoder:
    """Decode the blocks of feeds, each in the dialect of its venue (``feeds`` maps a feed to it).

    ``interval`` is that of the conflation of quotes and mark prices, in µs.
    """

    def __init__(self, feeds: Mapping[str, str], interval: int = 1_000_000) -> None:
        self._venues: dict[str, Venue] = {feed: venue(name) for feed, name in feeds.items()}
        self._interval = interval

    def __call__(
        self, state: FeedState | dict[str, str] | None, block: RecordBlock
    ) -> tuple[FeedState, list[Decoded]]:
        """Decode a block."""
        # An earlier version knew the instruments only.
        state = state if isinstance(state, FeedState) else FeedState(state or {})
        if len(block) == 0:
            return state, [Reached(block.feed, block.last_offset)]
        followed, heard = _Followed.of(state), Heard()
        found: list[Decoded] = []
        for part in _of_one_kind(block):
            kind = int(part.kinds[0])
            if kind == Kind.FRAME:
                decoded = to_batches(self._venues[part.feed], part)
                heard.take(decoded)
                found.extend(decoded.malformed)
                for piece in around(decoded.batches, decoded.malformed):
                    found.extend(
                        _broken(followed, part.feed, piece, followed.known)
                        if isinstance(piece, int)
                        else _arrive(followed, part.feed, piece)
                    )
            else:
                for at, record in enumerate(part.records()):
                    offset = part.first_offset + at
                    try:
                        found.extend(_other(followed, part.feed, kind, offset, record.received_at, record.payload))
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
        told, rows = tell(state.venue, block, heard, self._interval)
        if rows.known is not None:
            found = [replace(one, quotes=rows.known) if isinstance(one, Arrivals) else one for one in found]
        found.extend(rows.unread)
        found.append(Reached(block.feed, block.last_offset, rows.told))
        silent, awaited = frozenset(followed.silent), frozenset(followed.awaited)
        return FeedState(followed.known, told, silent, awaited), found


def _other(followed: _Followed, feed: str, kind: int, offset: int, received: int, payload: bytes) -> list[Decoded]:
    if kind == Kind.TRADES:
        batch = TradeBatch.from_ipc(payload, offset)
        try:
            to_integers(batch.price)
            to_integers(batch.size)
        except IntegrityError as error:
            # Frames are read digit by digit; these came as doubles, and no fold could sum them exactly.
            raise MalformedFrame(str(error)) from None
        return _arrive(followed, feed, batch, live=False)
    if kind == Kind.COMMAND:
        return _command(followed, payload)
    if kind == Kind.CANDLES:
        told = _venue_candles(payload)
        return [Arrivals(feed, told.instrument, offset, event=told)]
    if kind == Kind.LISTING:
        return [Sighted(feed, _listed(payload), "", received)]
    if kind == Kind.REREAD:
        again = _REREAD.decode(payload)
        return [Arrivals(feed, again.instrument, offset, event=again)]
    if kind == Kind.MARK:
        mark = _MARK.decode(payload)
        # Those that are named get it even if unknown here: an earlier version forgot those that were unsubscribed.
        carried = followed.known if mark.instruments is None else mark.instruments
        if mark.mark == "connected":
            followed.take_in(followed.silent if mark.instruments is None else carried)
        return [Arrivals(feed, name, offset, event=mark) for name in carried]
    tick = _tick(payload, received)
    return [Arrivals(feed, name, offset, event=tick) for name in followed.known if name not in followed.silent]


def _broken(followed: _Followed, feed: str, offset: int, names: Iterable[str]) -> list[Decoded]:
    unchained = [name for name in names if followed.known.get(name) == SPACE]
    return [Arrivals(feed, name, offset, event=mark) for name in unchained for mark in BREAK]


def _command(followed: _Followed, payload: bytes) -> list[Decoded]:
    command = _COMMAND.decode(payload)
    name = command.values.get("instrument", "")
    if "refused" in command.values:
        return []
    if command.command == "unsubscribe":
        # Time passes by no longer what is recorded no longer: it would close empty candles for ever.
        followed.take_out(name)
    elif command.command == "subscribe":
        followed.take_in([name])
    return []


def _tick(payload: bytes, received: int) -> Tick:
    tick = _TICK.decode(payload)
    ahead = received > 0 and tick.venue_time > received + MOST_AHEAD
    if ahead or not bounds.EARLIEST <= tick.venue_time <= bounds.LATEST:
        raise MalformedFrame(f"a tick to {tick.venue_time} is no time that a venue can have")
    return tick


def _listed(payload: bytes) -> Instrument:
    try:
        return _LISTING.decode(payload).read()
    except (UserError, ArithmeticError) as error:
        raise MalformedFrame(f"a listing that cannot be read: {error}") from None


def _venue_candles(payload: bytes) -> VenueCandles:
    told = _CANDLES.decode(payload)
    try:
        Instrument.parse(told.instrument)
        timeframe(told.timeframe)
        for candle in warm_up.read(told):
            low, high = min(candle.open, candle.close), max(candle.open, candle.close)
            if not 0 < candle.low <= low <= high <= candle.high < math.inf:
                raise MalformedFrame(f"a candle of {told.instrument} at {candle.start} contradicts itself")
    except (UserError, ValueError, ArithmeticError) as error:
        raise MalformedFrame(f"candles that cannot be read: {error}") from None
    return told


def _arrive(followed: _Followed, feed: str, batch: TradeBatch, live: bool = True) -> list[Decoded]:
    early = too_early(batch)
    if early.any():
        reason = f"a trade of {batch.instrument} is stamped more than an hour after it was received"
        found: list[Decoded] = [*set_aside(feed, batch.take(early), reason)]
        for piece in around_refused(batch, early, live):
            found.extend(
                _broken(followed, feed, piece, [batch.instrument])
                if isinstance(piece, int)
                else _arrive(followed, feed, piece, live)
            )
        return found
    arrivals: list[Decoded] = [Arrivals(feed, batch.instrument, int(batch.offset[-1]), batch, live=live)]
    followed.heard(batch.instrument)
    if batch.instrument not in followed.known:
        followed.known[batch.instrument] = batch.id_space
        return [Sighted(feed, Instrument.parse(batch.instrument), batch.id_space), *arrivals]
    return arrivals


def set_aside(feed: str, trades: TradeBatch, reason: str) -> list[Quarantined]:
    """Put trades that were read but cannot be taken into quarantine: a row a journal record, with its trades."""
    rows = []
    for offset in np.unique(trades.offset).tolist():
        of_record = trades.take(trades.offset == offset)
        names = ("ids", "ts", "price", "size", "side", "fills")
        payload = msgspec.json.encode(
            {"instrument": trades.instrument, **{name: getattr(of_record, name).tolist() for name in names}}
        )
        received = int(of_record.received[-1])
        rows.append(Quarantined(feed, offset, received, reason, payload[: Quarantined.KEPT_BYTES]))
    return rows


def _of_one_kind(block: RecordBlock) -> list[RecordBlock]:
    edges = [0, *(np.flatnonzero(np.diff(block.kinds)) + 1).tolist(), len(block)]
    if len(edges) == 2:
        return [block]
    return [block.slice(low, high) for low, high in pairwise(edges)]
