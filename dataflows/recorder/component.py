"""The recorders of all feeds in one process."""

import asyncio
from collections.abc import Callable, Sequence
from threading import Event

from prometheus_client import CollectorRegistry

from core.health import Health
from core.settings import FeedSettings, Settings
from dataflows.decide import place
from dataflows.inbox import Inbox
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.recorder import Recorder
from exchanges.attempts import Attempts
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest
from storage.data_folder import DataFolder
from storage.journal import Journal

_LOOK_SECONDS = 0.1


class RecorderComponent:
    """Record feeds until told to stop; ``feeds`` are those of the settings unless given."""

    def __init__(
        self, settings: Settings, registry: CollectorRegistry, feeds: Sequence[FeedSettings] | None = None
    ) -> None:
        self._settings = settings
        self._feeds = settings.feeds if feeds is None else feeds
        self._metrics = RecorderMetrics(registry)
        self._recorders: dict[str, Recorder] = {}

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Record until ``stop`` is set; then connections are closed and what has arrived is durable.

        Raises `Busy` where another recorder has one of the feeds, `UserError` where a setting is wrong.
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
        why = {
            state: [f"{name}: {text}" for name, one in told.items() if one.state == state for text in one.why]
            for state in ("degraded", "down")
        }
        figures = {f"{name} {figure}": value for name, one in told.items() for figure, value in one.figures.items()}
        return Health.judged(why["degraded"], why["down"], figures)

    async def _run(self, journal: Journal, inbox: Inbox, stop: Event, on_ready: Callable[[], None]) -> None:
        strategies = wanted_candles(self._settings)
        rests: dict[str, Rest] = {}
        attempts: dict[str, Attempts] = {}
        for feed in self._feeds:
            venue = venue_named(feed.dialect, feed.websocket_url, feed.rest_url)
            if venue.rest_url not in rests:
                rests[venue.rest_url] = Rest(venue)
            self._recorders[feed.name] = Recorder(
                self._settings,
                feed,
                journal,
                inbox,
                self._metrics,
                strategies,
                rest=rests[venue.rest_url],
                attempts=attempts.setdefault(venue.websocket_url, Attempts(venue.limits)),
            )
        tasks = [asyncio.create_task(recorder.run()) for recorder in self._recorders.values()]
        on_ready()
        try:
            while not stop.is_set():
                done, _ = await asyncio.wait(tasks, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for rest in rests.values():
                await rest.close()


def wanted_candles(settings: Settings) -> list[tuple[str, int]]:
    """Give how many candles of each timeframe the placed strategies want to begin with."""
    wanted: dict[str, int] = {}
    for placed in place(settings):
        name = placed.timeframe.name
        wanted[name] = max(wanted.get(name, 0), placed.strategy.warmup)
    return sorted(wanted.items())
