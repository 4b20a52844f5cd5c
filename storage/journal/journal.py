"""The journal of all feeds below one folder."""

from collections.abc import Sequence
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Self

from core.errors import UserError
from core.records import Record, RecordBlock
from storage.journal import positions, retention
from storage.journal.disk import explained
from storage.journal.doorbell import Doorbell
from storage.journal.folder import FeedFolder
from storage.journal.reader import FeedReader
from storage.journal.writer import FeedWriter

_MIB = 1024 * 1024
_SMALLEST = 4096


class Journal:
    """Keep an append-only, seekable log per feed: one writer a feed, any number of readers in any process.

    Offsets count a feed's records from 0. ``segment_bytes`` is the size of one file (at most a quarter of
    ``max_bytes``, so that old ones can go one by one); ``max_bytes`` bounds what one feed may occupy.
    Nothing is created before the first `append`, `consumed` or `doorbell`; reading writes nothing.

    Feed and consumer names are 1 to 64 of ``a-z 0-9 . _ -`` beginning with a letter or digit; any other raises
    `UserError`. A journal of a newer format raises `UserError`, damaged records `IntegrityError`. Methods may
    be called from several threads; an object must not be carried over a fork.

    Example:
        >>> with Journal(Path("data/journal")) as journal:
        ...     journal.append("binance", [Record(Kind.FRAME, 1_700_000_000_000_000, b"{}")])
        ...     journal.read("binance", after=-1, limit=8192)
    """

    def __init__(self, root: Path, *, segment_bytes: int = 64 * _MIB, max_bytes: int = 8192 * _MIB) -> None:
        if segment_bytes < _SMALLEST or max_bytes < 4 * _SMALLEST:
            raise UserError(
                f"journal.segment_bytes must be at least {_SMALLEST} and journal.max_bytes at least {4 * _SMALLEST}"
            )
        self._root = root
        self._segment_bytes, self._max_bytes = min(segment_bytes, max_bytes // 4), max_bytes
        self._writers: dict[str, FeedWriter] = {}
        self._readers: dict[str, FeedReader] = {}
        self._writing, self._opening = RLock(), RLock()

    def feeds(self) -> list[str]:
        """Give the names of the feeds that hold something, sorted."""
        try:
            names = sorted(entry.name for entry in self._root.iterdir() if entry.is_dir())
        except FileNotFoundError:
            return []
        return [name for name in names if self._holds_records(name)]

    def append(self, feed: str, records: Sequence[Record]) -> int:
        """Append records as one group; give the offset of the last one. They are durable on return.

        The first call for a feed takes its lease, which `close` or the process's end gives back. Raises `Busy`
        when another `Journal` or process holds it, `JournalFull` when the bound is reached and nothing consumed
        is left to drop, `TransientError` when the disk is full or fails: then none of the records is stored and
        the call can be repeated.
        """
        with self._writing:
            writer = self._writers.get(feed)
            if writer is None:
                folder = FeedFolder(self._root, feed)
                try:
                    writer = FeedWriter(folder, self._segment_bytes, self._max_bytes)
                except OSError as error:
                    raise explained(error, folder.path) from None
                self._writers[feed] = writer
        return writer.append(records)

    def read(self, feed: str, after: int, limit: int) -> RecordBlock | None:
        """Give at most ``limit`` durable records with offsets above ``after``, None when there are none yet.

        Records of several appends come as one block. Reading on from where the last call ended costs no search.
        Raises `IntegrityError` for an offset that was trimmed away (naming the first one kept) and for records
        that are damaged (naming file and byte); a torn last append is the end of the feed, nothing more.
        """
        return self._reader(feed).read(after, limit)

    def last_offset(self, feed: str) -> int:
        """Give the offset of the last durable record, -1 for a feed without records."""
        return self._reader(feed).last_offset()

    def first_offset(self, feed: str) -> int:
        """Give the offset of the oldest record kept, 0 for a feed without records."""
        return self._reader(feed).first_offset()

    def trim(self, feed: str, before: int) -> None:
        """Remove whole segments that hold only offsets below ``before``; the newest segment always stays."""
        retention.trim(FeedFolder(self._root, feed), before)

    def consumed(self, feed: str, consumer: str, offset: int) -> None:
        """Store that everything up to ``offset`` is covered by a persisted snapshot of ``consumer``.

        Durable on return. -1 makes the consumer known before it has read anything. Raises `UserError` for an
        offset that no record has yet.
        """
        folder = FeedFolder(self._root, feed)
        if not -1 <= offset <= max(-1, self.last_offset(feed)):
            raise UserError(f"consumer {consumer!r} cannot stand at {offset}: feed {feed!r} has no such record")
        try:
            positions.store(folder, consumer, offset)
        except OSError as error:
            raise explained(error, folder.path) from None

    def consumers(self, feed: str) -> dict[str, int]:
        """Give the stored position of each consumer."""
        return positions.load(FeedFolder(self._root, feed))

    def doorbell(self, feed: str) -> Doorbell:
        """Hang a bell that every append to the feed rings, from whatever process; use it in a ``with``."""
        return Doorbell(FeedFolder(self._root, feed).doorbells)

    def close(self) -> None:
        """Give the leases back and close all files."""
        with self._writing:
            for writer in self._writers.values():
                writer.close()
            self._writers = {}
        with self._opening:
            for reader in self._readers.values():
                reader.close()
            self._readers = {}

    def _reader(self, feed: str) -> FeedReader:
        with self._opening:
            if feed not in self._readers:
                self._readers[feed] = FeedReader(FeedFolder(self._root, feed))
            return self._readers[feed]

    def _holds_records(self, name: str) -> bool:
        try:
            return bool(FeedFolder(self._root, name).first_offsets())
        except UserError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
