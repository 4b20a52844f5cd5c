"""The inbox: what operators ask of the running system, kept in a journal of its own."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from core.errors import Busy, IntegrityError
from core.instruments import Instrument
from core.records import Command, Kind
from core.settings import FeedSettings
from storage.data_folder import DataFolder
from storage.journal import Journal
from storage.journal.doorbell import Doorbell

INBOX = "commands"
"""The one feed of the inbox's journal."""

_SEGMENT_BYTES = 64 * 1024
_MAX_BYTES = 64 * 1024 * 1024
_PATIENCE_SECONDS = 5.0
_AGAIN_SECONDS = 0.01
_BLOCK_RECORDS = 1024
_SUBSCRIPTIONS = ("subscribe", "unsubscribe")


class Inbox:
    """Keep operators' commands in order, durable, for whoever acts on them.

    Any process submits, holding the journal's lease for an instant only; any process reads. Nothing is created
    before the first `submit` or `doorbell`. Close it after use; methods may be called from several threads.

    Example:
        >>> inbox = Inbox(DataFolder(Path("data")))
        >>> inbox.submit(Command("subscribe", "binance", {"instrument": "binance:SOL-USDT"}))
    """

    def __init__(self, folder: DataFolder) -> None:
        self._root = folder.commands
        self._journal = Journal(self._root, segment_bytes=_SEGMENT_BYTES, max_bytes=_MAX_BYTES)

    def submit(self, command: Command) -> int:
        """Store a command; give its offset. It is durable on return.

        Raise `UserError` for a subscription that names no instrument, `Busy` where others held the inbox for
        5 s, `TransientError` where the disk cannot take it; nothing is stored then.
        """
        if command.command in _SUBSCRIPTIONS:
            Instrument.parse(command.values.get("instrument", ""))
        record = command.record(time.time_ns() // 1000)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            # A journal of its own: closing it gives the lease back, and leaves the readers of this one alone.
            with Journal(self._root, segment_bytes=_SEGMENT_BYTES, max_bytes=_MAX_BYTES) as journal:
                try:
                    return journal.append(INBOX, [record])
                except Busy:
                    if time.monotonic() > deadline:
                        raise Busy(
                            f"the commands in {self._root} are being written by another process: try again"
                        ) from None
            time.sleep(_AGAIN_SECONDS)

    def read(self, after: int) -> list[tuple[int, Command]]:
        """Give the commands with offsets above ``after`` (-1: all), ascending.

        Raise `IntegrityError` for a record that is no command.
        """
        found: list[tuple[int, Command]] = []
        while (block := self._journal.read(INBOX, after, _BLOCK_RECORDS)) is not None:
            for offset, record in enumerate(block.records(), block.first_offset):
                found.append((offset, _command(offset, record.kind, record.payload)))
            after = block.last_offset
        return found

    def stored_before(self, moment: int) -> int:
        """Give the offset of the last command stored before a moment (µs since the epoch, UTC); -1 for none."""
        last = after = -1
        while (block := self._journal.read(INBOX, after, _BLOCK_RECORDS)) is not None:
            earlier = np.flatnonzero(block.received < moment)
            last = block.first_offset + int(earlier[-1]) if len(earlier) else last
            after = block.last_offset
        return last

    def doorbell(self) -> Doorbell:
        """Hang a bell that every `submit` rings, from whatever process; use it in a ``with``."""
        return self._journal.doorbell(INBOX)

    def close(self) -> None:
        """Close the files."""
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wanted(feed: FeedSettings, commands: Iterable[Command]) -> tuple[str, ...]:
    """Give the instruments of a feed after all commands: those of the settings, then those that were added.

    Commands for other feeds and those marked as refused change nothing; adding what is there and removing what is
    not there neither. So the same commands a second time change nothing that the last of each instrument has set.

    Example:
        >>> feed = FeedSettings(name="binance", instruments=("binance:BTC-USDT",))
        >>> wanted(feed, [Command("subscribe", "binance", {"instrument": "binance:SOL-USDT"})])
        ('binance:BTC-USDT', 'binance:SOL-USDT')
    """
    names = dict.fromkeys(feed.instruments)
    for command in commands:
        name = command.values.get("instrument")
        if command.target != feed.name or name is None or "refused" in command.values:
            continue
        if command.command == "subscribe":
            names.setdefault(name)
        elif command.command == "unsubscribe":
            names.pop(name, None)
    return tuple(names)


def _command(offset: int, kind: Kind, payload: bytes) -> Command:
    if kind is not Kind.COMMAND:
        raise IntegrityError(f"record {offset} of the commands is a {kind.name.lower()}, not a command")
    try:
        return msgspec.json.decode(payload, type=Command)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"record {offset} of the commands cannot be read: {error}") from None
