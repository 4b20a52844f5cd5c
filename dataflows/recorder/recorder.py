"""The recorder of one feed: log first.

Small and boring: what the sockets bring goes to the journal, durable, before anything thinks about it. What was
missed is fetched by REST into the same feed.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import structlog

from core.errors import TransientError
from core.health import Health
from core.records import Command, Mark
from core.settings import FeedSettings, Settings
from dataflows.inbox import Inbox, wanted
from dataflows.recorder.catch_up import CatchUp
from dataflows.recorder.clock import SteadyClock, wall_clock
from dataflows.recorder.commands import Commands
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.condition import Condition
from dataflows.recorder.connections import Connections
from dataflows.recorder.intake import Intake
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.subscriptions import Subscriptions
from dataflows.recorder.ticks import Ticker, VenueClock
from exchanges.attempts import Attempts
from exchanges.budgets import BreakerState, Budgets
from exchanges.clients import dialer_of, rest_of
from exchanges.guard import Watch
from exchanges.hosts import counted
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest
from storage.journal import Journal

_log = structlog.get_logger(__name__)

_MEASURE_SECONDS = 1.0


class Recorder:
    """Record one feed into its journal until cancelled.

    ``strategies`` are (timeframe, candles): how many of the venue's candles an instrument that was never recorded
    is warmed with. ``rest`` and ``attempts`` may be shared with other feeds of the same addresses, and ``budgets``
    with all: the venue counts by address. ``wall`` gives the machine's time (µs since the epoch, UTC).
    """

    def __init__(
        self,
        settings: Settings,
        feed: FeedSettings,
        journal: Journal,
        inbox: Inbox,
        metrics: RecorderMetrics,
        strategies: Sequence[tuple[str, int]] = (),
        *,
        rest: Rest | None = None,
        attempts: Attempts | None = None,
        budgets: Budgets | None = None,
        wall: Callable[[], int] | None = None,
    ) -> None:
        self._settings, self._feed, self._journal = settings, feed, journal
        self._metrics, self._strategies, self._wall = metrics.of(feed.name), strategies, wall or wall_clock
        self._venue = venue_named(feed.dialect, feed.websocket_url, feed.rest_url)
        self._rest, self._attempts, self._budgets = rest, attempts, budgets or Budgets()
        urls = self._venue.rest_url, self._venue.websocket_url
        self._hosts = {counted(self._venue.exchange, url) for url in urls}
        self._commands = Commands(feed.name, inbox)
        self._condition: Condition | None = None

    async def run(self) -> None:
        """Record until cancelled.

        Raises `Busy` at once where another recorder has the feed, `UserError` where the settings cannot be
        followed, `IntegrityError` where the journal contradicts itself; what a network or a full disk does is
        waited out. What has arrived is durable when it returns, unless there is no room for it.
        """
        rest = self._rest or rest_of(self._venue, budgets=self._budgets)
        known = KnownTrades(self._venue, self._metrics)
        log = CommitLog(
            self._journal,
            self._feed.name,
            self._settings.recorder.queue_bytes,
            self._settings.journal,
            self._settings.data,
            known.take,
            self._metrics,
        )
        await log.open()
        try:
            commands = self._commands.fresh()
            names = wanted(self._feed, [command for _, command in commands])
            await asyncio.to_thread(known.read_tail, self._journal, self._feed.name, names)
            if known.since is not None:
                # Their copies may lie further back than was read.
                known.acted = max(known.acted, self._commands.stored_before(known.since))
            await self._record(rest, known, log, commands)
        finally:
            await log.close()
            if self._rest is None:
                await rest.close()

    @property
    def begun(self) -> bool:
        """Tell whether it has the feed and its journal, and records."""
        return self._condition is not None

    def health(self) -> Health:
        """Say how the recording is, and why; may be called from any thread."""
        condition = self._condition
        return Health("down", ("starting",)) if condition is None else condition.health()

    async def _record(
        self, rest: Rest, known: KnownTrades, log: CommitLog, commands: list[tuple[int, Command]]
    ) -> None:
        settings, venue, metrics = self._settings.recorder, self._venue, self._metrics
        clock = SteadyClock(known.received, wall=self._wall)
        if known.cut_short:
            # Before anything is asked for: what comes next does not join what came last.
            log.put(Mark("lost", "", "restart").record(clock.now()))
        venue_clock = VenueClock(venue, rest, clock, metrics)
        ticker = Ticker(known, log, clock, venue_clock)
        wants = Subscriptions(self._feed, venue, rest, self._strategies, settings.catch_up_trades)
        catch_up = CatchUp(venue, rest, known, log, clock, metrics, wants.instruments, settings.catch_up_trades)
        intake = Intake(
            self._feed.name,
            log,
            clock,
            catch_up,
            metrics,
            wants.keys,
            ticker.connected,
            wants.turned_down,
            known.last_time,
        )
        watch = Watch(settings.first_data_s, settings.stale_s)
        address = counted(venue.exchange, venue.websocket_url)
        attempts = self._attempts or Attempts(venue.limits, address, budgets=self._budgets)
        most = self._feed.streams_per_connection
        connections = Connections(venue, wants.channels, intake, attempts, watch, dialer_of(venue, rest), most)
        wants.use(log, clock, known, connections, intake.past_underway)
        self._condition = Condition(
            settings, log, clock, venue_clock, intake, connections, catch_up, known, metrics, wants, self._breakers
        )
        try:
            await _first_to_fail(
                self._follow(wants, commands),
                self._heed(log, connections, intake),
                self._measure(self._condition),
                wants.run(),
                catch_up.run(),
                ticker.run(),
                _awaited(connections.failure),
            )
        finally:
            intake.closing = "stopped"
            await connections.suspend()
            intake.close()

    async def _follow(self, wants: Subscriptions, commands: list[tuple[int, Command]]) -> None:
        await wants.begin(commands)
        await self._commands.run(wants.act)

    async def _heed(self, log: CommitLog, connections: Connections, intake: Intake) -> None:
        """Let the connections go while nothing can be written, and come back when it can."""
        suspended = False
        while True:
            await log.changed.wait()
            log.changed.clear()
            if log.error is not None:
                raise log.error
            stall = log.stall
            if stall is not None and not suspended:
                intake.closing = stall.cause
                await connections.suspend()
                intake.close()
                suspended = True
            elif stall is None and suspended:
                # Not before all that waited is written: else it is full again at once.
                await log.flushed()
                if log.stall is None and log.error is None:
                    intake.closing, suspended = None, False
                    await connections.resume()

    async def _measure(self, condition: Condition) -> None:
        while True:
            condition.measure(time.monotonic())
            await asyncio.to_thread(self._measure_breakers)
            await asyncio.sleep(_MEASURE_SECONDS)

    def _measure_breakers(self) -> None:
        try:
            for one in self._breakers():
                self._metrics.tell_breaker(one.host, one.state)
        except TransientError as error:
            _log.warning("breakers_unknown", why=str(error))

    def _breakers(self) -> list[BreakerState]:
        return [one for one in self._budgets.breakers() if one.host in self._hosts]


async def _awaited(future: "asyncio.Future[None]") -> None:
    await future


async def _first_to_fail(*works: Coroutine[Any, Any, None]) -> None:
    """Run works that never end; raise what ends one of them, after the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
