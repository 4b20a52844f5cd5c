"""The commit log: what arrives becomes durable in groups, written by a thread of its own.

One thread writes everything that waits as one group. At low rates a frame costs one hand-over and one sync; at
high rates the groups grow by themselves.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import repeat
from pathlib import Path
from threading import Condition, Thread
from typing import NamedTuple

import structlog

from core.errors import JournalFull, TransientError
from core.records import Kind, Record, RecordBlock
from core.settings import JournalSettings
from dataflows.recorder.metrics import FeedMetrics
from dataflows.recorder.stall import Stall
from dataflows.room import refuse_full_disk
from storage.journal import Journal

_log = structlog.get_logger(__name__)

PACE_SECONDS = 0.002
BUSY_PACE_SECONDS = 0.004
BUSY_RATE = 7_500
"""Groups begin at least this far apart, the second from this rate (records/s) on.

Each costs a hand-over and a sync, whatever it holds: measured, 2 ms at 10,000 frames/s cost a third more CPU than
4 ms, and at low rates nobody waits at all.
"""

_DISK_SECONDS = 0.1

FOLLOW_SECONDS = 0.2
FOLLOW_RECORDS = 4_096
"""What became durable is looked at after this time, or when there is this much of it."""

RETRY_SECONDS = 1.0
GROUP_BYTES = 8 * 1024 * 1024
_RECORD_BYTES = 128


class _Arrived(NamedTuple):
    """Hold records that arrived together, the bytes of their payloads, and how many of them are frames."""

    records: list[Record]
    size: int
    frames: int

    @property
    def occupied(self) -> int:
        return self.size + _RECORD_BYTES * len(self.records)


class CommitLog:
    """Write one feed of a journal.

    ``bound`` is how many bytes may wait before `room` does not return. ``follow`` is called in the writing thread
    with every block that has become durable, in order. All other methods belong to one event loop. ``changed`` is
    set when `stall` or `error` has changed.
    """

    def __init__(
        self,
        journal: Journal,
        feed: str,
        bound: int,
        limits: JournalSettings,
        disk: Path,
        follow: Callable[[RecordBlock], None],
        metrics: FeedMetrics,
    ) -> None:
        self._journal, self._feed, self._bound = journal, feed, bound
        self._disk, self._segment_bytes = disk, limits.segment_bytes
        self._group_bytes = min(GROUP_BYTES, limits.segment_bytes // 2)
        self._follow, self._metrics = follow, metrics
        self.last_offset = -1
        self.stall: Stall | None = None
        self.error: BaseException | None = None
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._roomy = asyncio.Event()
        self._roomy.set()
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._lock = Condition()
        self._queue: list[_Arrived] = []
        self._waiting = self._put = self._taken = self._followed = 0
        self._hurried = self._closing = False
        self._roomy_since = float("-inf")
        self._pending: list[list[Record]] = []
        self._pending_first = self._pending_count = 0
        self._pending_since = self._next_group = self._group_began = self._disk_seen = 0.0
        self._thread = Thread(target=self._run, name=f"recorder-{feed}", daemon=True)

    async def open(self) -> None:
        """Take the feed's lease and begin to write; raise `Busy` where another recorder has it."""
        await asyncio.to_thread(self._journal.append, self._feed, [])
        self.last_offset = self._journal.last_offset(self._feed)
        self._metrics.last_offset.set(self.last_offset)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Give how many bytes are not durable yet."""
        return self._waiting

    def put_frames(self, frames: Sequence[bytes], received_at: int) -> None:
        """Let frames that arrived together be written; ``received_at`` is µs since the epoch, UTC."""
        records = list(map(Record, repeat(Kind.FRAME), repeat(received_at), frames))
        self._enqueue(_Arrived(records, sum(map(len, frames)), len(records)))

    def put(self, record: Record) -> None:
        """Let a record be written, behind everything that was put before."""
        self._enqueue(_Arrived([record], len(record.payload), 0))

    def _enqueue(self, arrived: _Arrived) -> None:
        with self._lock:
            self._queue.append(arrived)
            self._waiting += arrived.occupied
            self._put += 1
            if self._waiting > self._bound:
                self._roomy_since = float("inf")
            self._lock.notify()

    def roomy_since(self, moment: float) -> bool:
        """Tell whether nobody has had to wait for `room` since a moment of the monotonic clock."""
        return self._roomy_since <= moment

    async def room(self) -> None:
        """Wait until less than the bound waits for the disk."""
        while self._waiting > self._bound and self.error is None:
            # Cleared before a second look: the writing thread sets it only where it finds it cleared.
            self._roomy.clear()
            if self._waiting <= self._bound or self.error is not None:
                self._roomy.set()
            await self._roomy.wait()

    async def flushed(self) -> None:
        """Wait until all that was put so far is durable and has been followed."""
        with self._lock:
            if self._followed >= self._put or self.error is not None:
                return
            future = self._loop.create_future()
            self._flushes.append((self._put, future))
            self._hurried = True
            self._lock.notify()
        await future

    async def close(self) -> None:
        """Write what waits, if there is room for it, and end."""
        with self._lock:
            self._closing = True
            self._lock.notify()
        if self._thread.ident is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:  # noqa: BLE001 - the recorder raises it again, in its own thread
            self.error = error
        finally:
            self._tell()

    def _step(self) -> bool:
        groups, closing = self._take()
        if groups and not self._commit(groups):
            return False
        overdue = self._pending_count >= FOLLOW_RECORDS or self._follow_due() <= 0
        if self._pending and (overdue or self._hurried or closing):
            self._look()
        if not self._pending and self._followed < self._taken:
            self._followed = self._taken
            self._answer()
        return not closing or bool(self._queue)

    def _take(self) -> tuple[list[_Arrived], bool]:
        with self._lock:
            while not (
                self._queue or self._closing or (self._pending and (self._hurried or self._follow_due() <= 0))
            ):
                self._lock.wait(self._follow_due() if self._pending else None)
            closing = self._closing
        early = self._next_group - time.monotonic()
        if early > 0 and not closing:
            time.sleep(early)
        with self._lock:
            groups, self._queue = self._queue, []
            self._taken = self._put
        return groups, closing

    def _follow_due(self) -> float:
        return self._pending_since + FOLLOW_SECONDS - time.monotonic()

    def _commit(self, arrived: list[_Arrived]) -> bool:
        group = _Arrived([], 0, 0)
        for more in arrived:
            if group.records and group.size + more.size > self._group_bytes:
                if not self._append(group):
                    return False
                group = _Arrived([], 0, 0)
            group.records.extend(more.records)
            group = _Arrived(group.records, group.size + more.size, group.frames + more.frames)
        return self._append(group)

    def _append(self, group: _Arrived) -> bool:
        began = time.monotonic()
        busy = len(group.records) > BUSY_RATE * (began - self._group_began)
        self._group_began, self._next_group = began, began + (BUSY_PACE_SECONDS if busy else PACE_SECONDS)
        while True:
            began = time.monotonic()
            try:
                self._refuse_full_disk(began)
                last = self._journal.append(self._feed, group.records)
            except TransientError as error:
                self._hold(Stall("journal_full" if isinstance(error, JournalFull) else "disk", str(error)))
                with self._lock:
                    if self._closing or self._lock.wait_for(lambda: self._closing, RETRY_SECONDS):
                        _log.error("records_not_written", feed=self._feed, records=len(group.records), why=str(error))
                        self.error = error
                        return False
                continue
            break
        self._hold(None)
        self._account(group, last, time.monotonic() - began)
        return True

    def _refuse_full_disk(self, now: float) -> None:
        if now - self._disk_seen >= _DISK_SECONDS or self.stall is not None:
            refuse_full_disk(self._disk, self._segment_bytes)
            self._disk_seen = now

    def _account(self, group: _Arrived, last: int, seconds: float) -> None:
        if not self._pending:
            self._pending_since = time.monotonic()
            self._pending_first = last - len(group.records) + 1
        self._pending.append(group.records)
        self._pending_count += len(group.records)
        with self._lock:
            self._waiting -= group.occupied
            waiting = self._waiting
            if waiting <= self._bound:
                self._roomy_since = min(self._roomy_since, time.monotonic())
        self.last_offset = last
        metrics = self._metrics
        metrics.commit.observe(seconds)
        metrics.groups.inc()
        metrics.frames.inc(group.frames)
        metrics.bytes.inc(group.size)
        metrics.last_offset.set(last)
        metrics.waiting.set(waiting)
        if waiting <= self._bound and not self._roomy.is_set():
            self._call(self._roomy.set)

    def _look(self) -> None:
        records = [record for group in self._pending for record in group]
        self._pending, self._pending_count = [], 0
        self._follow(RecordBlock.of(self._feed, self._pending_first, records))

    def _hold(self, stall: Stall | None) -> None:
        if stall != self.stall:
            if stall is not None and self.stall is None:
                _log.error("recorder_stalled", feed=self._feed, cause=stall.cause, why=stall.why)
            elif stall is None:
                _log.warning("recorder_goes_on", feed=self._feed)
            self.stall = stall
            self._tell()

    def _answer(self) -> None:
        with self._lock:
            done = [future for put, future in self._flushes if put <= self._followed]
            self._flushes = [(put, future) for put, future in self._flushes if put > self._followed]
            self._hurried = bool(self._flushes)
        if done:
            self._call(lambda: _resolve(done))

    def _tell(self) -> None:
        def tell() -> None:
            self.changed.set()
            if self.error is not None:
                self._roomy.set()
                _resolve([future for _, future in self._flushes])

        self._call(tell)

    def _call(self, what: Callable[[], object]) -> None:
        # The loop may have gone while the last group was written.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)


def _resolve(futures: Sequence["asyncio.Future[None]"]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
