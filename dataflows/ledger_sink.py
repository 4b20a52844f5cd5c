"""The ledger as a sink: rows go out at the latest when their epoch ends; all of them may be written twice."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from core.records import Quarantined
from core.signals import Signal
from dataflows.decide import Outcome, RunStarted, RunStopped
from dataflows.decode import Sighted
from dataflows.steps import Advanced
from storage.ledger.ledger import Ledger

PARTITION = "ledger"

_MOST_WAITING = 10_000

LedgerRow = Advanced | Quarantined | Sighted | Outcome


@dataclass(slots=True)
class Told:
    """Count what was told to the ledger, repetitions after a crash included."""

    duplicates: int = 0
    signals: int = 0
    unread: int = 0
    waiting: int = 0
    """Rows that wait to be written: ten thousand at most, then the flow waits."""


class LedgerSink(FixedPartitionedSink[LedgerRow, None]):
    """Write gaps, coverage, dirty minutes, runs, signals, instruments and what could not be read.

    With ``background`` (one thread) rows are written beside the flow, which waits for them at the end of the epoch.
    """

    def __init__(self, open_ledger: Callable[[], Ledger], told: Told, background: Executor | None = None) -> None:
        self._open_ledger = open_ledger
        self._told = told
        self._background = background

    def list_parts(self) -> list[str]:
        """Give the one partition."""
        return [PARTITION]

    def part_fn(self, item_key: str) -> int:
        """Send everything to it."""
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "LedgerPartition":
        """Open the ledger."""
        return LedgerPartition(self._open_ledger(), self._told, self._background)


class LedgerPartition(StatefulSinkPartition[LedgerRow, None]):
    """Write rows as they come, at the latest by the end of their epoch.

    Gaps, coverage and dirty minutes of the same arrivals go out in one transaction: whoever sees the coverage
    also sees that the minutes wait for the lake. What comes while a write is underway goes out together.
    """

    def __init__(self, ledger: Ledger, told: Told, background: Executor | None = None) -> None:
        self._ledger = ledger
        self._told = told
        self._background = background
        self._waiting: deque[LedgerRow] = deque()
        self._underway: deque[Future[None]] = deque()

    def write_batch(self, items: list[LedgerRow]) -> None:
        """Write the rows, or hand them to the thread that does; raise what an earlier write has met."""
        if self._background is None:
            self.write(items)
            return
        self._waiting.extend(items)
        self._told.waiting = len(self._waiting)
        while self._underway and (self._underway[0].done() or len(self._waiting) > _MOST_WAITING):
            self._underway.popleft().result()
        if items:
            self._underway.append(self._background.submit(self._drain))

    def snapshot(self) -> None:
        """Wait until everything of the epoch is written; what failed fails the epoch."""
        while self._underway:
            self._underway.popleft().result()

    def _drain(self) -> None:
        items = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._told.waiting = len(self._waiting)
        if items:
            self.write(items)

    def write(self, items: Sequence[LedgerRow]) -> None:
        """Write rows: instruments and runs before what refers to them."""
        advanced = [item for item in items if isinstance(item, Advanced)]
        unread = [item for item in items if isinstance(item, Quarantined)]
        unread.extend(one for item in advanced for one in item.unread)
        self._see([item for item in items if isinstance(item, Sighted)])
        self._ledger.record(
            [gap for item in advanced for gap in item.gaps],
            [claim for item in advanced for claim in item.coverage],
            [minute for item in advanced for minute in item.dirty],
        )
        if unread:
            self._ledger.quarantine(unread)
        for started in (item for item in items if isinstance(item, RunStarted)):
            placed = started.placed
            self._ledger.start_run(
                started.run,
                placed.strategy.name,
                started.instrument,
                placed.timeframe.name,
                placed.strategy.params,
                placed.strategy.code_hash(),
                (started.past.venue, started.past.lake),
            )
        signals = [item for item in items if isinstance(item, Signal)]
        if signals:
            self._ledger.insert_signals(signals)
        for stopped in (item for item in items if isinstance(item, RunStopped)):
            self._ledger.stop_run(stopped.run, stopped.error)
        self._told.duplicates += sum(item.duplicates for item in advanced)
        self._told.signals += len(signals)
        self._told.unread += len(unread)

    def _see(self, sighted: list[Sighted]) -> None:
        self._ledger.list_instruments([(one.instrument, one.told_at) for one in sighted if one.told_at])
        sighted = [one for one in sighted if not one.told_at]
        if sighted:
            spaces = {one.instrument.name: one.id_space for one in sighted}
            self._ledger.see_instruments([one.instrument for one in sighted], spaces)

    def close(self) -> None:
        """Let the ledger go, once nothing is written any more."""
        # Nothing is raised here: Bytewax also closes while it ends of another error, and a second one aborts it.
        wait(self._underway)
        self._ledger.close()
