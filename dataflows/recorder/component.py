"""The recorders of all feeds in one process."""

import asyncio
import time
from collections.abc import Callable, Sequence
from threading import Event

import structlog
from prometheus_client import CollectorRegistry

from core.errors import Busy, IntegrityError
from core.health import Health
from core.settings import FeedSettings, Settings
from dataflows.decide import place
from dataflows.inbox import Inbox
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.recorder import Recorder
from exchanges.attempts import Attempts
from exchanges.budgets import Budgets
from exchanges.clients import asked_by, rest_of
from exchanges.hosts import counted
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest
from storage.data_folder import DataFolder, limits_path
from storage.journal import Journal

_log = structlog.get_logger(__name__)

BACK_OFF_SECONDS = 0.5, 30.0
"""A feed that ended with an error is begun anew after so long, doubled each time; and the longest of it."""

_LOOK_SECONDS = 0.1


class RecorderComponent:
    """Record feeds until told to stop; ``feeds`` are those of the settings unless given.

    A feed that another recorder has, or whose journal contradicts itself, does not end the others: it is tried again.
    """

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, feeds: Sequence[FeedSettings] | None = None
    ) -> None:
        self._settings = settings
        self._feeds = settings.feeds if feeds is None else feeds
        self._metrics = RecorderMetrics(registry)
        self._recorders: dict[str, Recorder] = {}
        self._failed: dict[str, Busy | IntegrityError] = {}

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Record until ``stop`` is set; then connections are closed and what has arrived is durable.

        Raises `Busy` where other recorders have the feeds, `IntegrityError` where the journals contradict themselves,
        in both cases only once no feed is left that can be recorded; `UserError` where a setting is wrong.
        """
        folder = DataFolder(self._settings.data)
        limits = self._settings.journal
        with (
            Journal(folder.journal, segment_bytes=limits.segment_bytes, max_bytes=limits.max_bytes) as journal,
            Inbox(folder) as inbox,
        ):
            asyncio.run(self._run(journal, inbox, stop, on_ready))

    def health(self) -> Health:
        """Say how the recording of every feed is, and why; may be called from any thread."""
        if not self._recorders:
            return Health("down", ("starting",))
        told = {name: recorder.health() for name, recorder in list(self._recorders.items())}
        told |= {name: Health("down", (f"{error} (tried again)",)) for name, error in list(self._failed.items())}
        why = {
            state: [f"{name}: {text}" for name, one in told.items() if one.state == state for text in one.why]
            for state in ("degraded", "down")
        }
        figures = {f"{name} {figure}": value for name, one in told.items() for figure, value in one.figures.items()}
        return Health.judged(why["degraded"], why["down"], figures)

    async def _run(self, journal: Journal, inbox: Inbox, stop: Event, on_ready: Callable[[], None]) -> None:
        strategies = wanted_candles(self._settings)
        rests: dict[tuple[str, str], Rest] = {}
        attempts: dict[str, Attempts] = {}
        budgets = Budgets(limits_path(self._settings, DataFolder(self._settings.data)))

        def recorder(feed: FeedSettings) -> Recorder:
            venue = venue_named(feed.dialect, feed.websocket_url, feed.rest_url)
            asked = asked_by(venue)
            if asked not in rests:
                rests[asked] = rest_of(venue, budgets=budgets)
            address = counted(venue.exchange, venue.websocket_url)
            if address not in attempts:
                attempts[address] = Attempts(venue.limits, address, budgets=budgets)
            shared = self._settings, feed, journal, inbox, self._metrics, strategies
            return Recorder(*shared, rest=rests[asked], attempts=attempts[address], budgets=budgets)

        self._recorders = {feed.name: recorder(feed) for feed in self._feeds}
        tasks = [asyncio.create_task(self._keep(feed, recorder)) for feed in self._feeds]
        on_ready()
        try:
            while not stop.is_set():
                done, _ = await asyncio.wait(tasks, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                for name in [name for name in self._failed if self._recorders[name].begun]:
                    del self._failed[name]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for rest in rests.values():
                await rest.close()
            budgets.close()

    async def _keep(self, feed: FeedSettings, recorder: Callable[[FeedSettings], Recorder]) -> None:
        """Record a feed; begin anew after an error that is this feed's alone, unless every feed has one."""
        shortest, longest = BACK_OFF_SECONDS
        pause = shortest
        while True:
            began = time.monotonic()
            try:
                await self._recorders[feed.name].run()
            except (Busy, IntegrityError) as error:
                self._failed[feed.name] = error
                if len(self._failed) == len(self._feeds):
                    raise
                _log.error("feed_not_recorded", feed=feed.name, why=str(error))
            pause = shortest if time.monotonic() - began > longest else pause
            # Not the old one: what it has heard of the operators' commands is of its own run.
            self._recorders[feed.name] = recorder(feed)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)


def wanted_candles(settings: Settings) -> list[tuple[str, int]]:
    """Give how many candles of each timeframe the placed strategies want to begin with."""
    wanted: dict[str, int] = {}
    for placed in place(settings):
        name = placed.timeframe.name
        wanted[name] = max(wanted.get(name, 0), placed.strategy.warmup)
    return sorted(wanted.items())
