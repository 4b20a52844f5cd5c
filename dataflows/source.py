"""The journal as a source of the dataflow: one partition a feed, seekable, its position in the snapshots."""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from select import POLLIN, poll
from threading import Event

from bytewax.inputs import AbortExecution, FixedPartitionedSource, StatefulSourcePartition

from core.records import RecordBlock
from storage.journal import Doorbell, Journal

CONSUMER = "market"
"""The name under which the dataflow's positions are kept in the journal."""

RECORDS = 16_384
"""How many journal records are read at one stroke: Bytewax's cost is per item."""

_WAIT = 0.01
_SNAPSHOTS_BEHIND = 4
_ECHOES = 8


class Reading:
    """Tell a running source when to stop.

    ``stop`` aborts as a crash would: what is not committed is read again after the next start. ``until`` gives
    the offset after which a feed has ended, or None while it goes on. ``seen`` is called with every block.
    """

    def __init__(
        self,
        until: Callable[[str], int | None] = lambda feed: None,
        seen: Callable[[RecordBlock], None] = lambda block: None,
        stop: Event | None = None,
    ) -> None:
        self.stop = stop or Event()
        self.until = until
        self.seen = seen


class Bells:
    """Wait for whichever feed of a worker rings first: a wait for one holds up all the others.

    ``busy`` says that a feed has brought something since the last wait, which has to go its way first.
    """

    def __init__(self) -> None:
        self._poll = poll()
        self._bells: dict[int, Doorbell] = {}
        self.busy = False

    def hang(self, bell: Doorbell) -> None:
        """Listen to a bell, too."""
        self._bells[bell.fileno()] = bell
        self._poll.register(bell.fileno(), POLLIN)

    def take_down(self, bell: Doorbell) -> None:
        """Listen to it no more."""
        if self._bells.pop(bell.fileno(), None) is not None:
            self._poll.unregister(bell.fileno())

    def wait(self, seconds: float) -> bool:
        """Wait for a ring of any bell, unless something is under way; say whether there was a reason to go on."""
        if self.busy:
            self.busy = False
            return True
        rung = self._poll.poll(seconds * 1000)
        for fd, _ in rung:
            self._bells[fd].wait(0)
            # Its feed's turn comes without a wait in between.
            self.busy = len(self._bells) > 1
        return bool(rung)


class JournalSource(FixedPartitionedSource[RecordBlock, int]):
    """Read feeds from their journals, from the position of the last snapshot on."""

    def __init__(self, journal: Journal, feeds: list[str], reading: Reading, limit: int = RECORDS) -> None:
        self._journal = journal
        self._feeds = feeds
        self._reading = reading
        self._limit = limit
        self._bells = Bells()

    def list_parts(self) -> list[str]:
        """Give the feeds: a partition each."""
        return self._feeds

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> "FeedPartition":
        """Open a feed behind the last record that is covered by a snapshot."""
        return FeedPartition(self._journal, for_part, resume_state, self._reading, self._limit, self._bells)


class FeedPartition(StatefulSourcePartition[RecordBlock, int]):
    """Read one feed. Its state is the offset of the last record handed over, -1 before the first."""

    def __init__(
        self, journal: Journal, feed: str, resume: int | None, reading: Reading, limit: int, bells: Bells
    ) -> None:
        self._journal = journal
        self._feed = feed
        self._reading = reading
        self._limit = limit
        self._offset = -1 if resume is None else resume
        self._bell = journal.doorbell(feed)
        self._bells = bells
        bells.hang(self._bell)
        self._awake: datetime | None = None
        # A snapshot is on disk some epochs after it was taken; only then may its records be dropped.
        self._taken: deque[int] = deque()
        self._echoes = 0
        self._echo = False
        if resume is not None:
            journal.consumed(feed, CONSUMER, resume)

    def next_batch(self) -> list[RecordBlock]:
        """Give what is there, or wait a moment for the doorbell."""
        if self._reading.stop.is_set():
            raise AbortExecution
        self._awake = None
        block = self._journal.read(self._feed, self._offset, self._limit)
        if block is None and self._echo:
            self._echo = False
            return [RecordBlock.of(self._feed, self._offset + 1, [])]
        if block is None:
            end = self._reading.until(self._feed)
            if end is not None and self._offset >= end:
                raise StopIteration
            if not self._bells.wait(_WAIT):
                self._awake = datetime.now(UTC) + timedelta(milliseconds=1)
            return []
        self._bells.busy = True
        self._echoes, self._echo = _ECHOES, False
        self._offset = block.last_offset
        self._reading.seen(block)
        return [block]

    def next_awake(self) -> datetime | None:
        """Let the rest of the dataflow run while nothing arrives."""
        return self._awake

    def snapshot(self) -> int:
        """Give the position, and tell the journal which one is surely on disk by now.

        Bytewax lets a sink see an epoch's end only where something came in it: for some epochs after the last
        record an empty block goes out, so that nothing waits for the next record to be committed.
        """
        if self._echoes:
            self._echoes -= 1
            self._echo = True
        if not self._taken or self._taken[-1] != self._offset:
            self._taken.append(self._offset)
        if len(self._taken) > _SNAPSHOTS_BEHIND:
            self._journal.consumed(self._feed, CONSUMER, self._taken.popleft())
        return self._offset

    def close(self) -> None:
        """Take the doorbell down."""
        self._bells.take_down(self._bell)
        self._bell.close()
