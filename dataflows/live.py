"""The components that run all the time, each alone in its process until it is told to stop.

They are crash-only: what they cannot retry ends them with a typed error, and whoever supervises them starts them
again; a start is a recovery.
"""

import sys
import time
from collections.abc import Callable, Iterator
from threading import Event, Lock
from typing import Any

from prometheus_client import CollectorRegistry

from core.health import Health
from core.records import Command
from core.settings import Settings
from core.timeframes import BASE
from dataflows.board import Board
from dataflows.decide import place
from dataflows.inbox import Inbox, wanted
from dataflows.lake_sink import PARTITION
from dataflows.metrics import MarketMetrics, ReviserMetrics
from dataflows.reviser import LEASE, Revised, Reviser
from dataflows.running import run
from dataflows.source import Reading
from dataflows.system import System, opened
from dataflows.watch import Watch
from storage.data_folder import DataFolder
from storage.lake import LakeWriter, reader

_LAG_SECONDS = 5.0
_PATIENCE_SECONDS = 10.0
_LAKE_SECONDS = 15.0
_SEEDED = 50
_SWITCH_SECONDS = 0.0005
_EVERY = 1.0


class MarketComponent:
    """Run the market dataflow over every feed; `board` tells what it knows at this moment."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._board = Board(time.monotonic, place(settings))
        self._metrics = MarketMetrics(registry)
        self._system: System | None = None
        self._begun: dict[str, int] = {}
        self._waits: float | None = None
        self._inbox, self._heard = Inbox(DataFolder(settings.data)), -1
        self._commands: list[Command] = []
        self._turn = Lock()

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Run until told to stop; raise `Busy` where another process runs the dataflow of this data folder."""
        with opened(self._settings, "market", hold=False) as system, system.ledger.lease("market", _PATIENCE_SECONDS):
            for feed in self._settings.feeds:
                system.ledger.register_feed(feed.name, feed.dialect)
            self._seed(system)
            self._begun = LakeWriter(system.session, PARTITION).offsets()
            self._system = system
            reading = Reading(seen=self._metrics.seen, stop=stop)
            flow = system.flow(reading, watch=Watch(self._board, self._metrics))
            # The sinks' threads give way to the flow sooner than Python's 5 ms.
            sys.setswitchinterval(_SWITCH_SECONDS)
            on_ready()
            try:
                run(flow, system.recovery, reading)
            finally:
                self._system = None
                self._inbox.close()

    def _seed(self, system: System) -> None:
        """Show what is stored until the flow has newer; of a few hundred instruments it would take too long."""
        feed_of = self._shown()
        names = sorted(feed_of)[:_SEEDED]
        signals = system.ledger.last_signals()
        ends = reader.last_authored(system.session, names)
        for name in names:
            if name in ends:
                end = ends[name] + BASE[1].micros
                past = reader.history(system.session, name, BASE[1].name, end, 61)
                self._board.seed(feed_of[name], name, past, signals.get(name))

    def _shown(self) -> dict[str, str]:
        """Give the feed of every instrument that is recorded, by settings or by command."""
        with self._turn:
            found = self._inbox.read(self._heard)
            self._heard = found[-1][0] if found else self._heard
            self._commands.extend(command for _, command in found)
            return {name: feed.name for feed in self._settings.feeds for name in wanted(feed, self._commands)}

    def health(self) -> Health:
        """Say how far the dataflow lags behind its journal, and which runs have failed."""
        if self._system is None:
            return Health("down", ("the dataflow is starting",))
        degraded = []
        figures: dict[str, float | int | str | None] = {}
        for feed, (records, seconds) in self._lags().items():
            figures[f"lag_records {feed}"], figures[f"lag_seconds {feed}"] = records, round(seconds, 3)
            if seconds > _LAG_SECONDS and records:
                degraded.append(f"feed {feed} lags {records:,} records, {seconds:.0f} s behind")
            elif seconds > _LAG_SECONDS:
                degraded.append(f"nothing has come from feed {feed} for {seconds:.0f} s")
        degraded.extend(f"run of {name} has failed" for name in self._board.failed())
        self._waits = (self._waits or time.monotonic()) if any(self._behind()) else None
        waiting = 0.0 if self._waits is None else time.monotonic() - max(self._waits, self._system.written.at)
        figures["lake_waits_seconds"] = round(waiting, 1)
        for store, rows in (("lake", self._system.written.waiting), ("ledger", self._system.told.waiting)):
            figures[f"{store}_waiting_rows"] = rows
            self._metrics.waiting.labels(store).set(rows)
        if waiting > _LAKE_SECONDS:
            degraded.append(f"the lake has taken nothing for {waiting:.0f} s")
        return Health.judged(degraded, [], figures)

    def _behind(self) -> Iterator[bool]:
        """Tell of each feed whether the lake lacks records that were read."""
        if self._system is not None:
            reached = self._system.written.reached
            for feed in self._settings.feeds:
                yield self._metrics.read_up_to(feed.name) > reached.get(feed.name, self._begun.get(feed.name, -1))

    def _lags(self) -> dict[str, tuple[int, float]]:
        system = self._system
        if system is None:
            return {}
        return {
            feed.name: self._metrics.measure(
                feed.name, system.journal.last_offset(feed.name), self._begun.get(feed.name, -1)
            )
            for feed in self._settings.feeds
        }

    def board(self) -> dict[str, Any]:
        """Give the newest state of every instrument and feed, as plain values; times in µs since the epoch, UTC."""
        lags = self._lags()
        shown = self._shown()
        return {
            "at": time.time_ns() // 1_000,
            "instruments": [one for one in self._board.told() if one["instrument"] in shown],
            "feeds": {
                name: {"lag_records": records, "lag_seconds": seconds} for name, (records, seconds) in lags.items()
            },
        }


class ReviserComponent:
    """Fold dirty minutes again, a round a second."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._metrics = ReviserMetrics(registry)
        self._total = Revised()
        self._rounds: float | None = None

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Revise until told to stop; raise `Busy` where another reviser is at work."""
        with opened(self._settings, "reviser", hold=False) as system, system.ledger.lease(LEASE, _PATIENCE_SECONDS):
            cursor = system.session.cursor()
            reviser = Reviser(system.ledger, cursor, LakeWriter(cursor, LEASE))
            on_ready()
            while True:
                with self._metrics.seconds.time():
                    revised = reviser.revise(stop.is_set)
                self._metrics.dirty.set(revised.left)
                self._metrics.minutes.inc(revised.minutes)
                self._metrics.candles.inc(revised.candles)
                before = self._total
                self._total = Revised(
                    before.minutes + revised.minutes, before.candles + revised.candles, revised.left
                )
                self._rounds = time.monotonic()
                if stop.wait(_EVERY):
                    return

    def health(self) -> Health:
        """Say how long the current round takes and how much was revised."""
        if self._rounds is None:
            return Health("down", ("the reviser is starting",))
        busy = time.monotonic() - self._rounds
        slow = [f"a round of revising takes {busy:.0f} s"] if busy > 60 else []
        figures: dict[str, float | int | str | None] = {
            "minutes": self._total.minutes,
            "candles": self._total.candles,
            "waiting": self._total.left,
        }
        return Health.judged(slow, [], figures)
