"""Replay: recordings go through the journal and the market dataflow into the lake, as fast as they can.

The same path as live, fed from files. Everything may be repeated: what is stored already is a duplicate.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.errors import IntegrityError, TransientError
from core.records import RecordBlock
from core.settings import Settings
from dataflows.feeder import Feeder
from dataflows.recording import Recording, of_frames, of_trades
from dataflows.room import RESERVED_BYTES, free_bytes, full
from dataflows.running import run
from dataflows.system import opened

_LONGEST_COMMAND = 200


@dataclass(frozen=True, slots=True)
class Progress:
    """Say how far a replay is: ``done`` of ``total`` journal records, and the trades committed so far."""

    done: int
    total: int
    trades: int
    stage: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Count what a replay brought; what is stored is what was new to the lake.

    ``stored`` are trades and ``candles`` those folded from them; ``quotes``, ``mark_prices`` and ``venue_candles``
    are what the venue told beside.
    """

    files: int
    records: int
    stored: int
    duplicates: int
    candles: int
    quotes: int
    mark_prices: int
    venue_candles: int
    revised: int
    signals: int
    open_gaps: int
    quarantined: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Give the counts by name."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Give the counts as a table for a person."""
        beside = (
            ("quotes stored", self.quotes),
            ("mark prices stored", self.mark_prices),
            ("candles of the venue stored", self.venue_candles),
        )
        return [
            *([("files", f"{self.files:,}")] if self.files else []),
            ("journal records", f"{self.records:,}"),
            ("trades stored", f"{self.stored:,}"),
            ("duplicates dropped", f"{self.duplicates:,}"),
            ("candles (1s, 1m)", f"{self.candles:,}"),
            *((name, f"{count:,}") for name, count in beside if count),
            ("candles revised", f"{self.revised:,}"),
            ("signals", f"{self.signals:,}"),
            ("gaps found, still open", f"{self.open_gaps:,}"),
            ("records in quarantine", f"{self.quarantined:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]


def replay(
    settings: Settings,
    files: Sequence[Path],
    *,
    venue: str | None = None,
    instrument: str | None = None,
    speed: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Replay frames of a ``venue`` or trades of an ``instrument`` from files, in any order.

    The files are read through before anything is stored: raises `UserError` where one is unreadable, cut off or
    of another kind, `Busy` where another process writes the data folder.
    """
    on_progress(Progress(0, 0, 0, "checking the files"))
    recording = of_frames(files, venue) if venue else of_trades(files, instrument or "")
    return play(settings, recording, speed=speed, on_progress=on_progress)


def play(
    settings: Settings,
    recording: Recording,
    *,
    speed: float | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Summary:
    """Replay a recording; ``speed`` 1 keeps its time, None is as fast as it goes.

    Raises `Busy` where another process writes the data folder.
    """
    began = time.monotonic()
    command = f"replay {recording.name}"[:_LONGEST_COMMAND]
    with closing(recording), _full_disk_told(settings.data), opened(settings, command) as system:
        feeder = Feeder(system.journal, recording, speed, settings)
        told, written = system.told, system.written

        def seen(block: RecordBlock) -> None:
            feeder.watch_room()
            done = min(max(block.last_offset - feeder.first + 1, 0), recording.total)
            on_progress(Progress(done, recording.total, written.trades, "folding"))

        system.ledger.register_feed(recording.feed, recording.venue)
        with feeder:
            reading = system.reading(until=feeder.until, seen=seen)
            feeder.reading = reading
            run(system.flow(reading), system.recovery, reading)
        feeder.check()
        on_progress(Progress(recording.total, recording.total, written.trades, "revising"))
        revised = system.revise()
        return Summary(
            recording.files,
            recording.total,
            written.trades,
            told.duplicates,
            written.candles,
            written.told.get("quotes", 0),
            written.told.get("mark_prices", 0),
            written.told.get("venue_candles", 0),
            revised.candles,
            told.signals,
            len(system.ledger.gaps(state="open")),
            told.unread,
            time.monotonic() - began,
        )


@contextmanager
def _full_disk_told(data: Path) -> Iterator[None]:
    """Say that the disk is full where that is what made something fail, whatever that said of it."""
    try:
        yield
    except (TransientError, IntegrityError, OSError) as error:
        if data.exists() and free_bytes(data) < RESERVED_BYTES // 2:
            raise full(data) from error
        raise
