"""Reading again: where ids do not chain, what a broken connection missed is found by asking for the latest trades."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from core.continuity_in_time import SPACE
from core.errors import TransientError, VenueError
from core.id_ranges import Hole
from core.instruments import Instrument
from core.records import Kind, Record, Reread
from core.trades import TradeBatch
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import Key, KnownTrades
from dataflows.recorder.metrics import FeedMetrics
from dataflows.recorder.pursuit import pause
from dataflows.unreadable import too_early
from exchanges import history
from exchanges.rest import Rest
from exchanges.venue import Venue

_log = structlog.get_logger(__name__)

SETTLED_SECONDS = 3.0
"""So long after connecting the latest trades are asked for: by then the subscription is in force."""


@dataclass(slots=True)
class _Due:
    at: float
    tries: int = 0


class Rereads:
    """Ask again for what was missed, one instrument after the other, and say in the feed what that came to.

    ``instruments`` are those that are recorded, by name, and may change. Of more than ``most`` trades the newest are
    fetched; the rest is left to a backfill.
    """

    def __init__(
        self,
        venue: Venue,
        rest: Rest,
        known: KnownTrades,
        log: CommitLog,
        clock: SteadyClock,
        metrics: FeedMetrics,
        instruments: Mapping[str, Instrument],
        most: int,
    ) -> None:
        self._venue, self._rest, self._known, self._log, self._clock = venue, rest, known, log, clock
        self._metrics, self._instruments, self._most = metrics, instruments, most
        self._due: dict[Key, _Due] = {}
        self._given_up: dict[Key, int] = {}

    @property
    def left(self) -> int:
        """Give of how many instruments a stretch was given up."""
        return len(self._given_up)

    def look_after(self, keys: Iterable[Key]) -> None:
        """Ask for the latest trades of these instruments once their subscriptions are in force."""
        at = time.monotonic() + SETTLED_SECONDS
        self._due.update({key: _Due(at) for key in keys if key[1] == SPACE})

    async def in_order(self, keys: Collection[Key]) -> None:
        """Fetch what was missed so far, before more is read.

        What happens until the subscriptions are in force is asked for later.
        """
        for key in keys:
            since = self._known.last_time(key)
            if key[1] == SPACE and since:
                try:
                    self._tell(key, since, await self._fetch(key, since))
                except (TransientError, VenueError) as error:
                    _log.info("reread_failed", instrument=key[0], why=str(error))
        self.look_after(keys)

    async def turn(self) -> float:
        """Ask for those that are due; give how many seconds the venue wants to be left alone, 0 for none."""
        now = time.monotonic()
        for key, holes in self._known.holes():
            # A hole that was given up is not asked for again. A newer one ends with what a connection brought: its
            # subscription is in force, and the sooner the venue is asked, the less it has forgotten.
            due = self._due.get(key)
            if key[1] == SPACE and self._is_new(key, holes) and (due is None or not due.tries):
                self._due[key] = _Due(now)
        for key in [key for key, due in self._due.items() if due.at <= now]:
            due = self._due.pop(key)
            if key[0] not in self._instruments or not self._known.last_time(key):
                continue
            try:
                await self._reread(key)
                if self._is_new(key, self._known.holes_of(key)):
                    self._again(key, due, "the venue does not tell the latest trades yet")
            except (TransientError, VenueError) as error:
                self._again(key, due, str(error))
                if isinstance(error, TransientError) and (hold := getattr(error, "retry_after", 0.0)):
                    return float(hold)
        return 0.0

    async def newer(self, key: Key) -> bool:
        """Say whether the venue has trades that we should have had; raises what REST raises."""
        instrument = self._instruments.get(key[0])
        if instrument is None:
            return False
        newest = await history.latest(self._rest, self._venue, instrument, key[1], received=self._clock.now)
        last = self._known.last_time(key)
        edge = history.page_time(self._venue, last)
        # A page of a quiet market reaches back to before the recording.
        if newest is None or last == 0:
            return False
        return len(self._known.unknown(newest.take((newest.ts >= edge) & ~too_early(newest)))) > 0

    async def _reread(self, key: Key) -> None:
        await self._log.flushed()
        since = self._known.proven_until(key)
        holes = [hole for hole in self._known.holes_of(key) if hole.first_id > self._given_up.get(key, 0)]
        back_to = min([since, *(hole.after_ts for hole in holes)])
        self._tell(key, back_to, await self._fetch(key, back_to))
        await self._log.flushed()

    def _tell(self, key: Key, back_to: int, found: history.Back | None) -> None:
        """Say what was found of the time since ``back_to``."""
        if found is None:
            self._say(key, back_to, back_to, "closed")
        elif found.reached:
            self._say(key, back_to, max(found.last, back_to), "closed")
            if back_to <= self._given_up.get(key, back_to):
                self._given_up.pop(key, None)
        else:
            # What was read hangs together in itself.
            whole_from = found.whole_from
            self._say(key, whole_from, max(found.last, whole_from), "closed")
            self._given_up[key] = whole_from - 1
            if found.ended:
                self._say(key, back_to, whole_from - 1, "unfillable")
            self._metrics.left.inc()
            _log.warning("stretch_left", instrument=key[0], back_to=back_to, reached=whole_from)

    async def _fetch(self, key: Key, back_to: int) -> history.Back | None:
        instrument = self._instruments.get(key[0])
        if instrument is None:
            return None
        edge = history.page_time(self._venue, back_to)
        wanted = (self._rest, self._venue, instrument, key[1], back_to, self._most)
        found = await history.back_to(*wanted, received=self._clock.now)
        for page in found.pages if found else ():
            # What comes along from before is known, or is of no recording of ours.
            self._put(self._known.unknown(page.take(page.ts >= edge)))
            await self._log.room()
        await self._log.flushed()
        # A trade that nobody believes must not prove the time up to its stamp.
        told = [page.ts[~too_early(page)] for page in found.pages] if found else []
        last = max((int(ts.max()) for ts in told if len(ts)), default=None)
        return None if found is None or last is None else replace(found, last=last)

    def _is_new(self, key: Key, holes: Sequence[Hole]) -> bool:
        return bool(holes) and holes[-1].first_id > self._given_up.get(key, 0)

    def _say(self, key: Key, first: int, last: int, outcome: str) -> None:
        told = Reread(key[0], key[1], first, last, outcome)  # type: ignore[arg-type]
        self._log.put(told.record(self._clock.now()))

    def _put(self, trades: TradeBatch) -> None:
        if len(trades):
            self._log.put(Record(Kind.TRADES, self._clock.now(), trades.to_ipc()))
            self._metrics.caught_up.inc(len(trades))

    def _again(self, key: Key, due: _Due, why: str) -> None:
        _log.info("reread_failed", instrument=key[0], why=why)
        self._due.setdefault(key, _Due(time.monotonic() + pause(due.tries), due.tries + 1))
