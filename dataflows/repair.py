"""Repair: gaps of the past are asked for again, and what the venue has is written beside the dataflow.

The recorder pursues what it misses for some minutes, into the journal. What is still open later (the venue was away,
the hole was too large, nobody recorded) is fetched here, by another author than the dataflow. Both may do so at the
same time, and twice: the lake keeps a trade once (docs/decisions/0008-repairing-old-gaps.md).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from core.continuity_in_time import SPACE
from core.errors import Busy, UnknownName, UserError
from core.gaps import Gap
from core.instruments import Instrument
from core.settings import Settings
from core.timeframes import MINUTE
from dataflows.authorship import Author, authorship
from dataflows.gap_trades import AHEAD, MOST_BACK, Unanswered
from dataflows.gap_venues import Source, source_of
from dataflows.inbox import Inbox, wanted
from dataflows.recorder.clock import wall_clock
from dataflows.refill import Refill, bounds
from dataflows.system import System, opened
from exchanges.budgets import Budgets
from exchanges.clients import asked_by, rest_of
from exchanges.registry import VENUES
from exchanges.rest import Rest
from storage import lake
from storage.data_folder import limits_path
from storage.journal.folder import FeedFolder
from storage.journal.lease import Tenancy
from storage.lake import LakeWriter
from storage.ledger.ledger import Ledger

PARTITION = "repair"
TRIES = 3
LONGEST_WAIT_SECONDS = 30.0
"""A venue that wants to be left alone for longer is not waited for: its gaps stay for the next repair."""

_PATIENCE_SECONDS = 10.0
_WHY = {
    "repaired": "",
    "unfillable": "the venue does not have it any more",
    "open": f"more than {MOST_BACK:,} trades were made since: a backfill can fetch it",
}

Outcome = Literal["repaired", "unfillable", "recent", "unrecorded", "busy", "unanswered"]


@dataclass(frozen=True, slots=True)
class GapRepair:
    """Say what became of a gap, as it is now; ``trades`` were new to the lake.

    ``recent``: the dataflow has not closed its minutes yet, the recorder is still at it. ``unrecorded``: it has not,
    and nobody records the instrument, so it will not. ``busy``: another process repairs the instrument.
    ``unanswered``: the venue could not be asked, or did not answer, and ``why``.
    """

    gap: Gap
    outcome: Outcome
    trades: int = 0
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values; times in µs since the epoch, UTC."""
        gap = {name: value for name, value in asdict(self.gap).items() if name != "unfillable"}
        return {**gap, "outcome": self.outcome, "trades": self.trades, "why": self.why}


@dataclass(frozen=True, slots=True)
class RepairSummary:
    """Say what became of all gaps, the oldest first; ``revised`` counts the candles that came out different.

    A running reviser revises by itself: then ``revised`` is None.
    """

    gaps: tuple[GapRepair, ...]
    revised: int | None
    seconds: float

    @property
    def trades(self) -> int:
        """Give how many trades were new to the lake."""
        return sum(one.trades for one in self.gaps)

    def count(self, *outcomes: Outcome) -> int:
        """Give how many gaps came out so."""
        return sum(one.outcome in outcomes for one in self.gaps)

    @property
    def left(self) -> int:
        """Give how many gaps nothing is known of that was not known before, for a reason that may pass."""
        return self.count("unrecorded", "busy", "unanswered")


@dataclass(frozen=True, slots=True)
class Progress:
    """Say how far a repair is: ``done`` of ``total`` gaps, the trades stored so far, and whose turn it is."""

    done: int
    total: int
    trades: int
    instrument: str


def repair(
    settings: Settings,
    *,
    instruments: Collection[str] | None = None,
    unfillable: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> RepairSummary:
    """Fetch what open gaps miss, the oldest first, of all or of some ``instruments``; store what the venues have.

    ``unfillable``: ask again for what a venue did not have before, too. May be called while the system runs and while
    it does not, several times at once, and again after it was cut off. Raises `UserError` for an instrument that the
    ledger does not know, `TransientError` where ledger or lake are away; a venue that is away ends nothing.
    """
    began = time.monotonic()
    with opened(settings, "repair", hold=False) as system:
        gaps = _chosen(system.ledger, instruments, unfillable)
        done = asyncio.run(_Repair(system, gaps, on_progress).run()) if gaps else []
        # Also what an earlier repair has left that was killed after its last gap.
        revised = _revised(system)
        done.sort(key=lambda one: (one.gap.after_ts, one.gap.instrument))
        return RepairSummary(tuple(done), revised, time.monotonic() - began)


def _chosen(ledger: Ledger, instruments: Collection[str] | None, unfillable: bool) -> list[Gap]:
    known = {gap.instrument for gap in ledger.gaps()} | ledger.id_spaces().keys()
    for name in instruments or ():
        Instrument.parse(name)
        if name not in known:
            raise UnknownName("instrument", name, sorted(known))
    gaps = ledger.gaps(state="open")
    if unfillable:
        gaps += [gap for gap in ledger.gaps(state="unfillable") if gap.missing]
    return sorted(
        (gap for gap in gaps if instruments is None or gap.instrument in instruments), key=lambda gap: gap.after_ts
    )


def _revised(system: System) -> int | None:
    with suppress(Busy):
        return system.revise().candles
    return None


class _Repair:
    """Go through gaps, instrument by instrument, in the order of the oldest one of each."""

    def __init__(self, system: System, gaps: Sequence[Gap], on_progress: Callable[[Progress], None]) -> None:
        self._system, self._on_progress = system, on_progress
        self._writer = LakeWriter(system.session.cursor(), PARTITION)
        self._budgets = Budgets(limits_path(system.settings, system.folder))
        self._rests: dict[tuple[str, str], Rest] = {}
        self._left_alone: dict[Rest, str] = {}
        self._gaps: dict[str, list[Gap]] = defaultdict(list)
        for gap in gaps:
            self._gaps[gap.instrument].append(gap)
        self._done: list[GapRepair] = []
        self._total, self._name = len(gaps), ""
        self._refills: list[Refill] = []
        with Inbox(system.folder) as inbox:
            self._commands = [command for _, command in inbox.read(-1)]
        self._recorded = list(system.ledger.feeds().values())

    async def run(self) -> list[GapRepair]:
        try:
            for name, gaps in self._gaps.items():
                self._name = name
                self._report()
                try:
                    with authorship(self._system.ledger, self._writer, name, _PATIENCE_SECONDS) as author:
                        await self._instrument(author, gaps)
                except Busy as error:
                    self._done += [GapRepair(gap, "busy", why=str(error)) for gap in gaps]
            return self._done
        finally:
            for rest in self._rests.values():
                await rest.close()
            self._budgets.close()

    async def _instrument(self, author: Author, chosen: Sequence[Gap]) -> None:
        # Another repair may have been at them before.
        stored = {bounds(gap): gap for gap in self._system.ledger.gaps(author.instrument)}
        minute = lake.last_authored(self._system.session, [author.instrument]).get(author.instrument)
        closed = 0 if minute is None else minute + MINUTE
        gaps: dict[str, list[Gap]] = defaultdict(list)
        for gap in (stored[bounds(gap)] for gap in chosen):
            if gap.missing == 0:
                self._done.append(GapRepair(gap, "repaired"))
            elif gap.before_ts + AHEAD >= closed:
                self._done.append(self._unclosed(gap))
            else:
                gaps[gap.id_space].append(gap)
        for space, ready in gaps.items():
            await self._space(author, space, ready, closed)

    def _unclosed(self, gap: Gap) -> GapRepair:
        """Leave a gap to the recorder: the dataflow still folds its minutes, and would not know our trades."""
        if self._is_recorded(gap.instrument):
            return GapRepair(gap, "recent", why="its minutes are not closed yet: the recorder may still fetch it")
        return GapRepair(gap, "unrecorded", why="nothing records, so its minutes stay open: `tidemill up` fetches it")

    def _is_recorded(self, name: str) -> bool:
        system = self._system
        settings = {feed.name: name in wanted(feed, self._commands) for feed in system.settings.feeds}
        exchange = name.partition(":")[0]
        # Of a feed that the settings do not know any more nobody can say which instruments it records.
        forgotten = {
            feed: venue not in VENUES or VENUES[venue].exchange == exchange
            for feed, venue in system.ledger.feeds().items()
        }
        return any(
            records and _is_written(FeedFolder(system.folder.journal, feed))
            for feed, records in {**forgotten, **settings}.items()
        )

    async def _space(self, author: Author, space: str, gaps: Sequence[Gap], closed: int) -> None:
        settings, ledger = self._system.settings, self._system.ledger
        try:
            source = source_of(author.instrument, space, settings.feeds, self._commands, self._recorded)
            rest = self._rest(source)
        except UserError as error:
            self._done += [GapRepair(gap, "unanswered", why=str(error)) for gap in gaps]
            return
        refill = Refill(ledger, self._system.session, author, rest, source, closed, self._page)
        self._refills.append(refill)
        # Where ids do not chain, one way back leads past all gaps.
        for together in [gaps] if space == SPACE else [[gap] for gap in gaps]:
            await self._told(refill, together)

    async def _told(self, refill: Refill, gaps: Sequence[Gap]) -> None:
        why = ""
        try:
            now = await self._answer(refill, gaps)
        except Unanswered as error:
            # Some of it may have come before.
            now, why = [refill.settle(gap, answered=False) for gap in gaps], str(error)
        for gap in now:
            outcome: Outcome = "unanswered" if gap.state == "open" else gap.state
            self._done.append(GapRepair(gap, outcome, refill.added[bounds(gap)], why or _WHY[gap.state]))
        self._report()

    async def _answer(self, refill: Refill, gaps: Sequence[Gap]) -> list[Gap]:
        """Ask up to `TRIES` times; who does not answer then, or bans us, is left alone from then on."""
        tries = 0
        while refill.rest not in self._left_alone:
            try:
                return await refill.fetch(gaps)
            except Unanswered as error:
                tries += 1
                if error.wait is None:
                    raise
                wait = max(error.wait, 0.5 * 2.0**tries)
                if tries == TRIES or wait > LONGEST_WAIT_SECONDS:
                    self._left_alone[refill.rest] = str(error)
                    raise
                await asyncio.sleep(wait)
        raise Unanswered(self._left_alone[refill.rest], None)

    def _rest(self, source: Source) -> Rest:
        asked = asked_by(source.venue)
        if asked not in self._rests:
            self._rests[asked] = rest_of(source.venue, budgets=self._budgets)
        return self._rests[asked]

    def _page(self) -> int:
        self._report()
        return wall_clock()

    def _report(self) -> None:
        trades = sum(refill.added.total() for refill in self._refills)
        self._on_progress(Progress(len(self._done), self._total, trades, self._name))


def _is_written(feed: FeedFolder) -> bool:
    tenancy = Tenancy(feed)
    try:
        tenancy.mark()
        with tenancy.vacant() as vacant:
            return not vacant
    finally:
        tenancy.close()
