"""The ledger as a sink: every row goes out at once; all of them may be written twice."""

from collections.abc import Callable
from dataclasses import dataclass

from bytewax.outputs import DynamicSink, StatelessSinkPartition

from core.records import Quarantined
from core.signals import Signal
from dataflows.decide import Outcome, RunStarted, RunStopped
from dataflows.decode import Sighted
from dataflows.steps import Advanced
from storage.ledger.ledger import Ledger

LedgerRow = Advanced | Quarantined | Sighted | Outcome


@dataclass(slots=True)
class Told:
    """Count what was told to the ledger, repetitions after a crash included."""

    duplicates: int = 0
    signals: int = 0
    unread: int = 0


class LedgerSink(DynamicSink[LedgerRow]):
    """Write gaps, coverage, dirty minutes, runs, signals, instruments and what could not be read."""

    def __init__(self, open_ledger: Callable[[], Ledger], told: Told) -> None:
        self._open_ledger = open_ledger
        self._told = told

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "LedgerPartition":
        """Open the ledger, once a worker."""
        return LedgerPartition(self._open_ledger(), self._told)


class LedgerPartition(StatelessSinkPartition[LedgerRow]):
    """Write each batch of rows as it comes.

    Gaps, coverage and dirty minutes of the same arrivals go out in one transaction: whoever sees the coverage
    also sees that the minutes wait for the lake.
    """

    def __init__(self, ledger: Ledger, told: Told) -> None:
        self._ledger = ledger
        self._told = told

    def write_batch(self, items: list[LedgerRow]) -> None:
        """Write the rows: instruments and runs before what refers to them."""
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
        if sighted:
            spaces = {one.instrument.name: one.id_space for one in sighted}
            self._ledger.see_instruments([one.instrument for one in sighted], spaces)

    def close(self) -> None:
        """Let the ledger go."""
        self._ledger.close()
