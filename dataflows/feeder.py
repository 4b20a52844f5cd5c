"""Feeding a recording to its journal, beside the dataflow that reads it."""

import time
from collections.abc import Iterator
from threading import Thread
from typing import Any

from core.errors import JournalFull
from core.records import Mark, Record
from core.settings import Settings
from dataflows.recording import Recording
from dataflows.room import RESERVED_BYTES, free_bytes, full, refuse_full_disk
from storage.journal import Journal

_GROUP = 4_096
_GROUP_BYTES = 8 * 1024 * 1024
_PACE = 0.05


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


class Feeder:
    """Append a recording to its feed in a thread of its own, waiting where the journal is full."""

    def __init__(self, journal: Journal, recording: Recording, speed: float | None, settings: Settings) -> None:
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

    def __enter__(self) -> "Feeder":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.reading is not None:
            self.reading.stop.set()
        self._thread.join()

    def until(self, feed: str) -> int | None:
        """Give the last offset of the recording, once it is known; other feeds end where they are."""
        # Asked whenever nothing has arrived: a slow replay, too, notices a disk that others fill.
        self.watch_room()
        return self._end if feed == self._recording.feed else self._journal.last_offset(feed)

    def watch_room(self) -> None:
        """Stop the dataflow where others fill the disk.

        It stops as on a signal: the engine answers an exception that is raised inside it with a panic on stderr.
        """
        if self._error is None and free_bytes(self._data) < RESERVED_BYTES // 2:
            self._error = full(self._data)
            self.reading.stop.set()

    def check(self) -> None:
        """Raise what stopped the feeding."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._feed()
        except BaseException as error:  # noqa: BLE001 - raised again by check(), in the caller's thread
            self._error = self._error or error
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
