"""What a journal holds: frames, trades, connection marks, clock ticks, commands.

Everything that the dataflow may depend on is one of these, so that replaying a journal gives the same
result at any speed, after any crash, on any machine.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntEnum
from typing import ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.instruments import Instrument, SizeUnit


class Kind(IntEnum):
    """Tell the records of a journal apart."""

    FRAME = 1
    """A frame as the venue sent it."""
    TRADES = 2
    """Normalised trades of one instrument, as `TradeBatch.to_ipc` wrote them: files of trades, REST pages."""
    MARK = 3
    """What happened to a connection: a `Mark`."""
    TICK = 4
    """The passing of venue time while nothing arrives: a `Tick`."""
    COMMAND = 5
    """What the operator asked for: a `Command`."""
    CANDLES = 6
    """The venue's own candles from before the recording, to warm strategies with: `VenueCandles`."""
    REREAD = 7
    """What reading missing trades again by REST came to: a `Reread`."""
    LISTING = 8
    """What the venue says of an instrument, at the start and when it has changed: a `Listing`."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """Hold one record: its kind, when it was received (µs since the epoch, UTC) and its bytes.

    A struct that the garbage collector passes over: a recorder makes one a frame.
    """

    kind: Kind
    received_at: int
    payload: bytes


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say what happened to a connection of a feed.

    ``ended`` says that a recording is over: what is still open is stored as it is. ``instruments`` are those whose
    trades the connection carries; None: all of the feed.
    """

    mark: Literal["connected", "lost", "resubscribed", "ended"]
    connection: str = ""
    cause: str = ""
    instruments: tuple[str, ...] | None = None

    def record(self, received_at: int) -> Record:
        """Give the journal record of this mark."""
        return Record(Kind.MARK, received_at, msgspec.json.encode(self))


class Tick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say that the venue's clock has reached ``venue_time`` (µs since the epoch, UTC)."""

    venue_time: int

    def record(self, received_at: int) -> Record:
        """Give the journal record of this tick."""
        return Record(Kind.TICK, received_at, msgspec.json.encode(self))


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say what the operator asked of a feed or a run."""

    command: Literal["subscribe", "unsubscribe", "start", "stop", "set"]
    target: str
    values: dict[str, str] = {}

    def record(self, received_at: int) -> Record:
        """Give the journal record of this command."""
        return Record(Kind.COMMAND, received_at, msgspec.json.encode(self))


class VenueCandles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold closed candles as the venue tells them, ascending, for runs that begin without a past of ours.

    A row is (start in µs since the epoch, UTC; open, high, low, close, volume, quote volume as the venue's text;
    trade count; taker buy volume).
    """

    instrument: str
    timeframe: str
    rows: list[tuple[int, str, str, str, str, str, str, int, str]]

    def record(self, received_at: int) -> Record:
        """Give the journal record of these candles."""
        return Record(Kind.CANDLES, received_at, msgspec.json.encode(self))


class Reread(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say what asking the venue again for missing trades came to; the trades themselves came before, as `TRADES`.

    ``first`` and ``last`` are ids, both included; in the id space ``execution`` they are event times (µs since the
    epoch, UTC). ``closed``: nothing between them is missing any more; ``unfillable``: the venue has no more of it.
    """

    instrument: str
    id_space: str
    first: int
    last: int
    outcome: Literal["closed", "unfillable"]
    cause: str = ""

    def record(self, received_at: int) -> Record:
        """Give the journal record of this answer."""
        return Record(Kind.REREAD, received_at, msgspec.json.encode(self))


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold what the venue's list says of an instrument; numbers as text, None where it does not say."""

    instrument: str
    native: str
    tick: str | None
    lot: str | None
    multiplier: str
    size_unit: SizeUnit

    @classmethod
    def of(cls, instrument: Instrument) -> "Listing":
        """Give the listing of an instrument."""
        tick, lot = (None if step is None else str(step) for step in (instrument.tick, instrument.lot))
        return cls(instrument.name, instrument.native, tick, lot, str(instrument.multiplier), instrument.size_unit)

    def read(self) -> Instrument:
        """Give the instrument; raise `UserError` for a name that is none, `ArithmeticError` for no number."""
        tick, lot = (None if step is None else Decimal(step) for step in (self.tick, self.lot))
        return replace(
            Instrument.parse(self.instrument),
            native=self.native,
            tick=tick,
            lot=lot,
            multiplier=Decimal(self.multiplier),
            size_unit=self.size_unit,
        )

    def record(self, received_at: int) -> Record:
        """Give the journal record of this listing."""
        return Record(Kind.LISTING, received_at, msgspec.json.encode(self))


@dataclass(frozen=True, slots=True, eq=False)
class RecordBlock:
    r"""Hold consecutive records of a feed, in columns.

    ``kinds`` uint8[n] and ``received`` int64[n] (µs, UTC) describe the records ``first_offset`` to
    ``first_offset + n - 1``. Record ``i`` is ``payload[starts[i]:starts[i] + sizes[i]]``; in ``payload``
    a newline follows each record (it belongs to none), and nothing else lies between them: a block of
    one-line frames can be read as JSON lines.
    """

    feed: str
    first_offset: int
    kinds: NDArray[np.uint8]
    received: NDArray[np.int64]
    sizes: NDArray[np.int64]
    payload: bytes

    def __len__(self) -> int:
        return len(self.kinds)

    @property
    def last_offset(self) -> int:
        """Give the offset of the last record."""
        return self.first_offset + len(self.kinds) - 1

    @property
    def starts(self) -> NDArray[np.int64]:
        """Give where each record begins in ``payload``."""
        ends = np.cumsum(self.sizes + 1)
        return ends - self.sizes - 1

    def records(self) -> Iterator[Record]:
        """Yield the records one by one, in order; raise `UserError` for a kind that this version does not know."""
        at = 0
        for kind, received, size in zip(
            self.kinds.tolist(), self.received.tolist(), self.sizes.tolist(), strict=True
        ):
            try:
                known = Kind(kind)
            except ValueError:
                raise UserError(f"the journal holds records of kind {kind}: a newer Tidemill wrote them") from None
            yield Record(known, received, self.payload[at : at + size])
            at += size + 1

    def slice(self, start: int, stop: int) -> "RecordBlock":
        """Give the records ``start`` to ``stop - 1`` of this block as a block."""
        starts = self.starts
        low = int(starts[start]) if start < len(self) else len(self.payload)
        high = int(starts[stop]) if stop < len(self) else len(self.payload)
        return RecordBlock(
            self.feed,
            self.first_offset + start,
            self.kinds[start:stop],
            self.received[start:stop],
            self.sizes[start:stop],
            self.payload[low:high],
        )

    @classmethod
    def of(cls, feed: str, first_offset: int, records: Sequence[Record]) -> "RecordBlock":
        """Build a block from records."""
        return cls(
            feed,
            first_offset,
            np.array([r.kind for r in records], dtype=np.uint8),
            np.array([r.received_at for r in records], dtype=np.int64),
            np.array([len(r.payload) for r in records], dtype=np.int64),
            b"".join(r.payload + b"\n" for r in records),
        )


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Hold a record that could not be read: where it stands, why, and its first bytes."""

    feed: str
    offset: int
    received_at: int
    reason: str
    payload: bytes

    KEPT_BYTES: ClassVar[int] = 4096
    """How many bytes of a record the quarantine keeps."""
