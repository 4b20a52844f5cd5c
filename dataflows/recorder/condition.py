"""Why a recorder is not healthy."""

import time
from collections.abc import Callable

from core.errors import TransientError
from core.health import Health
from core.settings import RecorderSettings
from core.timeframes import DAY
from dataflows.recorder.catch_up import CatchUp
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.connections import Connections
from dataflows.recorder.intake import Intake
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import FeedMetrics
from dataflows.recorder.subscriptions import Subscriptions
from dataflows.recorder.ticks import VenueClock
from exchanges.budgets import BreakerState

MOST_OFFSET = 500_000
"""A clock that is surely further (µs) from the venue's than this is told of."""

_MICROS = 1_000_000


class Condition:
    """Judge a running recorder by its parts; may be asked from any thread."""

    def __init__(
        self,
        limits: RecorderSettings,
        log: CommitLog,
        clock: SteadyClock,
        venue_clock: VenueClock,
        intake: Intake,
        connections: Connections,
        catch_up: CatchUp,
        known: KnownTrades,
        metrics: FeedMetrics,
        wants: Subscriptions,
        breakers: Callable[[], list[BreakerState]],
    ) -> None:
        self._limits, self._log, self._clock, self._venue_clock = limits, log, clock, venue_clock
        self._intake, self._connections = intake, connections
        self._catch_up, self._known = catch_up, known
        self._metrics, self._wants, self._breakers = metrics, wants, breakers

    def health(self) -> Health:
        """Give the health, why, and the figures it was judged by."""
        now = time.monotonic()
        age = None if self._intake.last_data is None else now - self._intake.last_data
        offset = self._venue_clock.offset
        figures: dict[str, float | int | str | None] = {
            "connections": self._intake.up,
            "data_age_seconds": None if age is None else round(age, 3),
            "queue_bytes": self._log.waiting,
            "last_offset": self._log.last_offset,
            "trades": self._known.trades,
            "holes": self._holes(),
            "left_holes": self._catch_up.left,
            "clock_offset_seconds": None if offset is None else offset.micros / _MICROS,
            "clock_offset_uncertainty_seconds": None if offset is None else offset.uncertainty / _MICROS,
        }
        self.measure(now)
        return Health.judged(self._degraded(age), self._down(now), figures)

    def measure(self, now: float) -> None:
        """Set the figures that change with the passing of time."""
        if self._intake.last_data is not None:
            self._metrics.data_age.set(now - self._intake.last_data)
        self._metrics.waiting.set(self._log.waiting)
        self._metrics.holes.set(self._holes())

    def _holes(self) -> int:
        return sum(len(holes) for _, holes in self._known.holes())

    def _held_back(self) -> list[str]:
        try:
            return [one.words for one in self._breakers() if one.state != "closed"]
        except TransientError as error:
            return [str(error)]

    def _down(self, now: float) -> list[str]:
        stall, lost = self._log.stall, self._intake.lost_since
        if stall is not None:
            return [stall.why]
        if lost is not None and self._wants.fetching is None and self._wants.instruments:
            causes = dict.fromkeys(cause for link in self._connections.links if (cause := link.health().cause))
            return [": ".join([f"not connected for {now - lost:.0f} s", *causes])]
        return []

    def _degraded(self, age: float | None) -> list[str]:
        why = []
        if not self._wants.instruments:
            why.append("no instrument to record" if self._wants.begun else "starting: the venue's list is awaited")
        if self._wants.fetching is not None:
            why.append(f"fetching the past of {self._wants.fetching} before it is recorded")
        if self._intake.lost_since is None and age is not None and age > self._limits.stale_s:
            why.append(f"nothing has arrived for {age:.0f} s")
        behind, offset = self._clock.behind, self._venue_clock.offset
        if behind is not None:
            why.append(f"the machine's clock stepped back: it shows {behind.wall} µs, recorded is {behind.ours} µs")
        # A venue of another day is a market that is played back, no matter of clocks.
        if offset is not None and MOST_OFFSET < offset.surely < DAY:
            why.append(f"the machine's clock is {-offset.micros / _MICROS:+.1f} s from the venue's: set it right")
        why.extend(self._held_back())
        why.extend(list(self._wants.refused.values()))
        why.extend([*self._wants.lacking.values(), *self._wants.delisted.values()])
        why.extend(f"the past of {name} could not be fetched" for name in list(self._wants.unfetched))
        return why
