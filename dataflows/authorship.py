"""Authorship: who writes trades of the past beside the dataflow (a repair, a backfill), one an instrument at a time.

The lake keeps a trade once, whoever brings it first (`storage.lake.LakeWriter.add_trades`); the lease only spares two
authors the same work. Trades first, then what they prove: who is killed between the two has told too little.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from core.gaps import Coverage, DirtyMinute, Gap
from core.timeframes import MINUTE
from core.trades import TradeBatch
from storage.lake import LakeWriter
from storage.ledger.ledger import Ledger


class Author:
    """Write trades of one instrument; get one from `authorship`."""

    def __init__(self, instrument: str, ledger: Ledger, writer: LakeWriter) -> None:
        self.instrument = instrument
        self._ledger, self._writer = ledger, writer
        self._told = 0

    def add(self, trades: TradeBatch) -> int:
        """Store the trades that the lake lacks, and give how many that were."""
        return self._writer.add_trades([trades.to_arrow()]) if len(trades) else 0

    def tell(self, gaps: Sequence[Gap], coverage: Sequence[Coverage], span: tuple[int, int]) -> None:
        """Say what the trades that were added prove, and that the minutes of ``span`` are to be folded again.

        ``span`` is (from, to) in µs since the epoch, UTC, both included. The dataflow has to have closed these
        minutes: a revision that it overtook would stand for ever.
        """
        # What is told later counts as newer dirt than what the reviser is working off at this moment.
        self._told = max(self._told + 1, time.time_ns() // 1000)
        minutes = range(span[0] // MINUTE * MINUTE, span[1] + 1, MINUTE)
        dirty = [DirtyMinute(self.instrument, minute, "", self._told, "repaired") for minute in minutes]
        self._ledger.record(gaps, coverage, dirty)


@contextmanager
def authorship(ledger: Ledger, writer: LakeWriter, instrument: str, patience: float = 0.0) -> Iterator[Author]:
    """Be the one author of an instrument's past; raise `Busy` where another process stays it for ``patience`` s."""
    with ledger.lease(f"trades of {instrument}", patience):
        yield Author(instrument, ledger, writer)
