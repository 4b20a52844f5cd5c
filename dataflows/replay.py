"""Replay: recordings go through the journal and the market dataflow into the lake, as fast as they can.

The same path as live, fed from files. Everything may be repeated: what is stored already is a duplicate.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from core.errors import IntegrityError, JournalFull, MalformedFrame, TransientError, UserError
from core.instruments import Instrument
from core.records import Kind, Mark, Record, RecordBlock
from core.settings import Settings
from dataflows.room import RESERVED_BYTES, free_bytes, full, refuse_full_disk
from dataflows.running import run
from dataflows.system import opened
from exchanges.messages import Ack, ErrorReply
from exchanges.registry import venue as venue_named
from storage import recordings
from storage.journal import Journal
from storage.trade_files import TradeFiles

_GROUP = 4_096
_GROUP_BYTES = 8 * 1024 * 1024
_PACE = 0.05
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
    """Count what a replay brought; ``stored`` and ``candles`` are what was new to the lake."""

    files: int
    records: int
    stored: int
    duplicates: int
    candles: int
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
        return [
            ("files", f"{self.files:,}"),
            ("records read", f"{self.records:,}"),
            ("trades stored", f"{self.stored:,}"),
            ("trades that were there already", f"{self.duplicates:,}"),
            ("candles (1s, 1m)", f"{self.candles:,}"),
            ("candles revised", f"{self.revised:,}"),
            ("signals", f"{self.signals:,}"),
            ("gaps found, still open", f"{self.open_gaps:,}"),
            ("records in quarantine", f"{self.quarantined:,}"),
            ("seconds", f"{self.seconds:.1f}"),
        ]


@dataclass(frozen=True, slots=True)
class _Recording:
    feed: str
    venue: str
    records: Callable[[], Iterator[Record]]
    total: int
    close: Callable[[], None] = lambda: None


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
    began = time.monotonic()
    on_progress(Progress(0, 0, 0, "checking the files"))
    recording = _of_frames(files, venue) if venue else _of_trades(files, instrument or "")
    command = f"replay {' '.join(file.name for file in files)}"[:_LONGEST_COMMAND]
    with closing(recording), _full_disk_told(settings.data), opened(settings, command) as system:
        feeder = _Feeder(system.journal, recording, speed, settings)
        told, written = system.told, system.written

        def seen(block: RecordBlock) -> None:
            refuse_full_disk(settings.data, -RESERVED_BYTES // 2)
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
            len(files),
            recording.total,
            written.trades,
            told.duplicates,
            written.candles,
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


def _of_frames(files: Sequence[Path], name: str) -> _Recording:
    venue = venue_named(name)
    total = 0
    for file in files:
        first, lines = recordings.check(file)
        total += lines
        if not any(_readable(venue.parse, frame) for frame in first):
            begin = first[0][:60].decode("utf-8", "backslashreplace")
            raise UserError(f"{file} is no recording of {name}: none of its first frames can be read ({begin!r})")
    return _Recording(f"replay-{name}", name, lambda: recordings.frames(files), total)


def _readable(parse: Callable[[bytes, int], Any], frame: bytes) -> bool:
    try:
        found = parse(frame, 0)
    except MalformedFrame:
        return False
    # Many venues acknowledge in the same words.
    return not found or not all(isinstance(message, Ack | ErrorReply) for message in found)


def _of_trades(files: Sequence[Path], name: str) -> _Recording:
    instrument = Instrument.parse(name)
    venue_named(instrument.venue)
    trades = TradeFiles(files, instrument.name)

    def records() -> Iterator[Record]:
        for batch in trades.batches():
            yield Record(Kind.TRADES, int(batch.received[-1]), batch.to_ipc())

    return _Recording(f"replay-{instrument.venue}", instrument.venue, records, trades.records, trades.close)


def _groups(records: Iterator[Record], most: int) -> Iterator[list[Record]]:
    group: list[Record] = []
    size = 0
    for record in records:
        group.append(record)
        size += len(record.payload)
        if len(group) >= most or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


class _Feeder:
    """Append a recording to its feed in a thread of its own, waiting where the journal is full."""

    def __init__(self, journal: Journal, recording: _Recording, speed: float | None, settings: Settings) -> None:
        self._journal = journal
        self._recording = recording
        self._speed = speed
        self._data, self._segment_bytes = settings.data, settings.journal.segment_bytes
        self._error: BaseException | None = None
        self._end: int | None = None
        self._thread = Thread(target=self._run, name="feeder", daemon=True)
        self.reading: Any = None
        self._last = journal.last_offset(recording.feed)
        self.first = self._last + 1

    def __enter__(self) -> "_Feeder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.reading is not None:
            self.reading.stop.set()
        self._thread.join()

    def until(self, feed: str) -> int | None:
        """Give the last offset of the recording, once it is known; other feeds end where they are."""
        return self._end if feed == self._recording.feed else self._journal.last_offset(feed)

    def check(self) -> None:
        """Raise what stopped the feeding."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._feed()
        except BaseException as error:  # noqa: BLE001 - raised again by check(), in the caller's thread
            self._error = error
        self._end = self._last

    def _feed(self) -> None:
        records = self._recording.records()
        began: tuple[float, int] | None = None
        received = 0
        for group in _groups(records, _GROUP if self._speed is None else 64):
            if self._speed is not None:
                began = began or (time.monotonic(), group[0].received_at)
                self._wait_until(began[0] + (group[-1].received_at - began[1]) / 1e6 / self._speed)
            self._append(group)
            received = group[-1].received_at
        self._append([Mark("ended", cause="replay").record(received)])

    def _append(self, group: list[Record]) -> None:
        while True:
            self._refuse_stopped()
            # The journal takes a whole segment at a time, and prepares it before it is needed.
            refuse_full_disk(self._data, self._segment_bytes)
            try:
                self._last = self._journal.append(self._recording.feed, group)
            except JournalFull:
                time.sleep(_PACE)
            else:
                return

    def _wait_until(self, at: float) -> None:
        while (left := at - time.monotonic()) > 0:
            self._refuse_stopped()
            time.sleep(min(left, _PACE))

    def _refuse_stopped(self) -> None:
        if self.reading is not None and self.reading.stop.is_set():
            raise KeyboardInterrupt
