"""What can be replayed: records of one feed that are made again each time they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from core.records import Kind, Record
from exchanges.messages import Ack, ErrorReply
from exchanges.registry import venue as venue_named
from storage import recordings
from storage.trade_files import TradeFiles


@dataclass(frozen=True, slots=True)
class Recording:
    """Name a feed, the venue whose dialect it speaks, and ``total`` records in the order of receipt.

    ``name`` is what others are told is being replayed; ``files`` how many it came from.
    """

    name: str
    feed: str
    venue: str
    records: Callable[[], Iterator[Record]]
    total: int
    files: int = 0
    close: Callable[[], None] = lambda: None


def of_frames(files: Sequence[Path], name: str) -> Recording:
    """Read files of raw frames of the venue ``name`` through; raise `UserError` where they are none."""
    venue = venue_named(name)
    total = 0
    for file in files:
        first, lines = recordings.check(file)
        total += lines
        if not any(_readable(venue.parse, frame) for frame in first):
            begin = first[0][:60].decode("utf-8", "backslashreplace")
            raise UserError(f"{file} is no recording of {name}: none of its first frames can be read ({begin!r})")
    return Recording(_names(files), f"replay-{name}", name, lambda: recordings.frames(files), total, len(files))


def _readable(parse: Callable[[bytes, int], Any], frame: bytes) -> bool:
    try:
        found = parse(frame, 0)
    except MalformedFrame:
        return False
    # Many venues acknowledge in the same words.
    return not found or not all(isinstance(message, Ack | ErrorReply) for message in found)


def of_trades(files: Sequence[Path], name: str) -> Recording:
    """Read files of trades of the instrument ``name`` through; raise `UserError` where they are none."""
    instrument = Instrument.parse(name)
    venue_named(instrument.venue)
    trades = TradeFiles(files, instrument.name)

    def records() -> Iterator[Record]:
        for batch in trades.batches():
            yield Record(Kind.TRADES, int(batch.received[-1]), batch.to_ipc())

    return Recording(
        _names(files),
        f"replay-{instrument.venue}",
        instrument.venue,
        records,
        trades.records,
        len(files),
        trades.close,
    )


def _names(files: Sequence[Path]) -> str:
    return " ".join(file.name for file in files)
