"""Clock ticks: the passing of the venue's time, while no trade tells it."""

import asyncio
import time
from collections import deque

import structlog

from core.errors import TransientError, VenueError
from core.records import Tick
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.clock_offset import Ask, Offset, measured
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import FeedMetrics
from exchanges import history
from exchanges.rest import Rest
from exchanges.venue import Venue

_log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
OFFSET_SECONDS = 600.0
"""How often the venue's clock is compared with ours while trades tell its time."""

AGAIN_SECONDS = 60.0
"""How long to wait where the venue did not tell it."""

ASKS = 5
"""The offset is the median of so many."""

_MICROS = 1_000_000
_STEP = 100_000
"""Where the machine's clock went so much (µs) otherwise than time did, somebody has set it."""


class VenueClock:
    """Know the venue's time by its REST, and the machine's clock's distance from it.

    ``offset`` is the venue's time less the machine's, None before the first answer.
    """

    def __init__(self, venue: Venue, rest: Rest, clock: SteadyClock, metrics: FeedMetrics) -> None:
        self._venue, self._rest, self._clock, self._metrics = venue, rest, clock, metrics
        self.offset: Offset | None = None
        self._asks: deque[Ask] = deque(maxlen=ASKS)
        self._due, self._doubts, self._drift = float("-inf"), rest.clock_doubts, 0
        self._told: tuple[int, float] | None = None

    @property
    def stale(self) -> bool:
        """Tell whether the offset should be measured again: after a while, or where a clock is in doubt."""
        return time.monotonic() >= self._due or self._doubts != self._rest.clock_doubts or self._stepped

    async def measure(self) -> None:
        """Ask several times, one after the other, until one is not answered."""
        self._asks.clear()
        self._doubts = self._rest.clock_doubts
        while len(self._asks) < ASKS:
            if await self.ask() is None:
                break
        self._due = time.monotonic() + (OFFSET_SECONDS if len(self._asks) == ASKS else AGAIN_SECONDS)
        self._drift = self._drifted()

    async def ask(self) -> int | None:
        """Ask the venue for its time (µs since the epoch, UTC); None where it does not answer in time."""
        before = self._clock.wall()
        try:
            told = await asyncio.wait_for(history.time(self._rest, self._venue), TICK_SECONDS)
        except (TransientError, VenueError, TimeoutError) as error:
            _log.debug("venue_time_unknown", why=str(error))
            return None
        # HTTP's date has no fractions of a second; all others tell milliseconds.
        step = _MICROS if self._venue.time_request().header else _MICROS // 1000
        self._asks.append(Ask(told, before, self._clock.wall(), step))
        self._told = told, time.monotonic()
        self.offset = measured(self._asks)
        self._metrics.clock_offset.set(self.offset.micros / _MICROS)
        return told

    def estimate(self) -> int | None:
        """Give a time that the venue has reached: its last answer and what has passed since, a tick's worth at most.

        A venue that does not answer may stand still.
        """
        if self._told is None:
            return None
        told, at = self._told
        return told + int(min(time.monotonic() - at, TICK_SECONDS) * _MICROS)

    @property
    def _stepped(self) -> bool:
        return bool(self._asks) and abs(self._drifted() - self._drift) > _STEP

    def _drifted(self) -> int:
        return self._clock.wall() - time.monotonic_ns() // 1000


class Ticker:
    """Write a tick a second while a connection is up; the time told never goes back.

    None is written while frames have to wait for room: what waits in the network is of an earlier time.
    """

    def __init__(self, known: KnownTrades, log: CommitLog, clock: SteadyClock, venue_clock: VenueClock) -> None:
        self._known, self._log, self._clock, self._venue_clock = known, log, clock, venue_clock
        self.connected = asyncio.Event()
        self._last = 0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            began, seen = time.monotonic(), self._known.newest
            await asyncio.sleep(TICK_SECONDS)
            if self._venue_clock.stale:
                await self._venue_clock.measure()
            if not self.connected.is_set():
                # What came while nothing was read is to be read first.
                await self.connected.wait()
                continue
            await self.tick(began, quiet=self._known.newest <= seen)

    async def tick(self, began: float, *, quiet: bool) -> None:
        """Write one tick, if the venue's time has gone on and there has been room since ``began`` (monotonic clock).

        ``quiet`` says that no trade told the time since then.
        """
        reached = self._known.newest
        if quiet:
            told = await self._venue_clock.ask()
            reached = max(reached, told if told is not None else self._venue_clock.estimate() or 0)
        if reached > self._last and self.connected.is_set() and self._log.roomy_since(began):
            self._last = reached
            self._log.put(Tick(reached).record(self._clock.now()))
