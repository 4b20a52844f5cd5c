"""The parts of a running system, opened together: data folder, ledger, lake, journal, and the flow over them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import structlog
from bytewax.dataflow import Dataflow

from core.candles import Candle
from core.errors import IntegrityError, TidemillError, UserError
from core.records import RecordBlock
from core.settings import Settings
from dataflows.decide import place
from dataflows.lake_sink import PARTITION, LakeSink, Written
from dataflows.ledger_sink import LedgerSink, Told
from dataflows.market import FLOW, market
from dataflows.reviser import LEASE, Revised, Reviser
from dataflows.source import RECORDS, JournalSource, Reading
from dataflows.watch import Watch
from storage import lake
from storage.data_folder import DataFolder, lake_path
from storage.journal import Journal
from storage.lake import LakeWriter, Session, reader
from storage.ledger.address import Address
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve

_PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class System:
    """Hold what a command that writes needs; get one from `opened`."""

    settings: Settings
    folder: DataFolder
    address: Address
    journal: Journal
    ledger: Ledger
    session: Session
    closing: ExitStack
    """What ends before the parts above do."""
    written: Written = field(default_factory=Written)
    told: Told = field(default_factory=Told)
    _turn: Lock = field(default_factory=Lock)
    _stored: tuple[int, set[str]] = (-1, set())

    @property
    def recovery(self) -> Path:
        """Give the folder of the market dataflow's recovery store."""
        return self.folder.recovery / FLOW

    def reading(
        self,
        until: Callable[[str], int | None] = lambda feed: None,
        seen: Callable[[RecordBlock], None] = lambda block: None,
    ) -> Reading:
        """Make what the source asks when to stop."""
        return Reading(until, seen)

    def flow(self, reading: Reading, limit: int = RECORDS, watch: Watch | None = None) -> Dataflow:
        """Wire the market dataflow over every feed that the ledger knows, ``limit`` journal records an item.

        A flow that is watched is a live one: its sinks write beside it.
        """

        def beside(name: str) -> Executor | None:
            if watch is None:
                return None
            return self.closing.enter_context(ThreadPoolExecutor(1, thread_name_prefix=name))

        feeds = self.ledger.feeds()
        self._refuse_to_forget(feeds)
        lake_sink = LakeSink(lambda: LakeWriter(self.session.cursor(), PARTITION), self.written, beside("lake"))
        ledger_sink = LedgerSink(lambda: Ledger(self.address), self.told, beside("ledger"))
        self.closing.callback(_left_to_recovery, lake_sink.finish)

        def history(instrument: str, timeframe: str, before: int, count: int) -> list[Candle]:
            # What waits to be committed is the past, too: a run must begin the same when it is built again.
            lake_sink.finish()
            return self._history(instrument, timeframe, before, count)

        return market(
            JournalSource(self.journal, sorted(feeds), reading, limit),
            feeds,
            self.settings.candles,
            self.settings.quotes,
            place(self.settings),
            history,
            lake_sink,
            ledger_sink,
            watch,
        )

    def _refuse_to_forget(self, feeds: Iterable[str]) -> None:
        """Refuse to begin anew where the journal no longer tells all that the recovery store knew."""
        committed = LakeWriter(self.session, PARTITION).offsets()
        for feed in feeds:
            last = self.journal.last_offset(feed)
            if last < committed.get(feed, -1):
                raise IntegrityError(
                    f"the lake holds {feed!r} up to record {committed[feed]}, its journal ends at {last}: "
                    "the journal was lost; bring it back from a backup, or begin a new data folder"
                )
            if self.recovery.exists():
                continue
            first = self.journal.first_offset(feed)
            if feed in committed and first > 0:
                raise IntegrityError(
                    f"the recovery store {self.recovery} is missing, and the journal of {feed!r} begins at {first}: "
                    "bring the store back from a backup"
                )

    def revise(self) -> Revised:
        """Work off the dirty minutes that are ready."""
        with self.ledger.lease(LEASE):
            cursor = self.session.cursor()
            return Reviser(self.ledger, cursor, LakeWriter(cursor, "reviser")).revise()

    def _history(self, instrument: str, timeframe: str, before: int, count: int) -> list[Candle]:
        with self._turn:
            # Hundreds of runs begin with the first minute of a recording: they do not ask one by one for nothing.
            if self._stored[0] != self.written.commits:
                self._stored = self.written.commits, reader.instruments(self.session)
            if instrument not in self._stored[1]:
                return []
            return reader.history(self.session, instrument, timeframe, before, count, authored=True)


def _left_to_recovery(finish: Callable[[], None]) -> None:
    """Commit what is pending as the flow ends; where that fails, the recovery store has it for the next start."""
    try:
        finish()
    except TidemillError as error:
        structlog.get_logger(__name__).warning("left for the next start", error=str(error))


@contextmanager
def opened(settings: Settings, command: str, *, hold: bool = True) -> Iterator[System]:
    """Hold the data folder, start the ledger, bring schemas up to date, and open everything.

    A process that works beside another one that holds the folder says ``hold=False``.

    Raises `Busy` where another process writes the folder, `UserError` where a setting is wrong or the folder is
    of a newer version; nothing is changed then.
    """
    place(settings)
    folder = DataFolder(settings.data)
    if settings.data == Path() or "\0" in str(settings.data):
        raise UserError(f"the setting 'data' is {str(settings.data)!r}: name a folder")
    with ExitStack() as stack:
        if hold:
            stack.enter_context(folder.hold(command))
        address = stack.enter_context(serve(settings, folder))
        migrate(address)
        ledger = stack.enter_context(Ledger(address))
        with ledger.lease("lake schema", _PATIENCE_SECONDS):
            # Two processes that meet an empty catalog at once would both begin to fill it.
            session = lake.connect(address, lake_path(settings, folder), read_only=False)
            stack.callback(session.close)
            lake.create(session)
        journal = stack.enter_context(
            Journal(
                folder.journal,
                segment_bytes=settings.journal.segment_bytes,
                max_bytes=settings.journal.max_bytes,
            )
        )
        yield System(settings, folder, address, journal, ledger, session, stack.enter_context(ExitStack()))
