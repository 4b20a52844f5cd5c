"""Catching up: trades that did not come over the socket are asked for by REST, into the same feed."""

import asyncio
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import structlog

from core.continuity_in_time import SPACE
from core.errors import TransientError, UserError, VenueError
from core.instruments import Instrument
from core.records import Kind, Record, Reread
from core.trades import TradeBatch
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import Key, KnownTrades
from dataflows.recorder.metrics import FeedMetrics
from dataflows.recorder.pursuit import Pursuit, pause
from dataflows.recorder.rereads import Rereads
from exchanges import history
from exchanges.rest import Held, Rest
from exchanges.trades_by_id import trades_by_id
from exchanges.venue import Venue

_log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 1.0
"""A hole of this age is no matter of order any more: nothing on its way will fill it."""

TRIES = 6
PAGE = 1_000
"""Holes within so many ids are asked for as one: it costs one page either way."""

NOT_THERE = "the venue does not have them"

_LOOK_SECONDS = 0.25
_ASKED_ON_DOUBT = 20


@dataclass(frozen=True, slots=True)
class Missing:
    """Name ids of one instrument that are missing, all or some of ``first`` to ``last``."""

    key: Key
    first: int
    last: int


@dataclass(slots=True)
class _Unsure:
    due: float
    tries: int = 0
    last: int | None = None
    noted: bool = False


class CatchUp:
    """Fill the holes of one feed, one after the other; live frames go on beside it.

    ``instruments`` are those that are recorded, by name, and may change. Holes of more than ``most`` trades, and
    those that several tries could not fill, are left as they are: the ledger has them as open gaps.
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
        self._pursued: dict[Missing, Pursuit] = {}
        self._left: set[Missing] = set()
        self._unsure: dict[Key, _Unsure] = {}
        self._not_before = 0.0
        # Where ids do not chain, nothing shows by itself what is missing.
        self._rereads = Rereads(venue, rest, known, log, clock, metrics, instruments, most)

    @property
    def left(self) -> int:
        """Give how many of the present holes were given up."""
        return len(self._left) + self._rereads.left

    def look_after(self, keys: Iterable[Key]) -> None:
        """Ask, in a moment, whether the venue has newer trades than these instruments' newest ones.

        Those that bring trades by themselves in that moment are not asked for.
        """
        due, keys = time.monotonic() + PATIENCE_SECONDS, list(keys)
        self._unsure.update({key: _Unsure(due) for key in keys if key[1] != SPACE})
        self._rereads.look_after(keys)

    async def in_order(self, keys: Iterable[Key]) -> None:
        """Fetch what these instruments traded since their newest known trade; what fails is tried again beside."""
        await self._log.flushed()
        keys = list(keys)
        await self._rereads.in_order([key for key in keys if key[1] == SPACE])
        for key in (key for key in keys if key[1] != SPACE):
            self._unsure[key] = _Unsure(time.monotonic(), last=self._known.last_id(key), noted=True)
            await self._ask_newest(key)
        await self._log.flushed()

    async def run(self) -> None:
        """Catch up until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.turn(time.monotonic())

    async def turn(self, now: float) -> None:
        """Fill the holes that are due; then, one by one, ask for the newest trades of who brought none by itself."""
        await self._note_where_they_are()
        await self._fill_due(now)
        while (now := time.monotonic()) >= self._not_before and (key := self._due(now)) is not None:
            await self._ask_newest(key)
            await self._fill_due(time.monotonic())
        if time.monotonic() >= self._not_before and (hold := await self._rereads.turn()):
            self._not_before = time.monotonic() + hold

    async def _fill_due(self, now: float) -> None:
        self._look(now)
        for missing in self._joined(now) if now >= self._not_before else ():
            await self._fill(missing)

    async def _note_where_they_are(self) -> None:
        """Note the newest id of who is to be looked after, once what came before the connection has been followed."""
        fresh = [key for key, unsure in self._unsure.items() if not unsure.noted]
        if fresh:
            await self._log.flushed()
        for key in fresh:
            if key in self._unsure:
                self._unsure[key].last, self._unsure[key].noted = self._known.last_id(key), True

    def _due(self, now: float) -> Key | None:
        """Give who is to be asked for; whose trades have come since needs not be: a hole of it shows by itself."""
        for key, unsure in list(self._unsure.items()):
            if key[0] not in self._instruments or (unsure.noted and self._known.last_id(key) != unsure.last):
                del self._unsure[key]
            elif unsure.noted and unsure.due <= now:
                return key
        return None

    async def newer(self, keys: Collection[Key]) -> bool:
        """Ask the venue whether it has trades that we should have had; true where it does not answer.

        Those of the most lively instruments are asked for. An instrument that never brought a trade proves nothing:
        what the venue has of it may be old. Its newest one is stored, and what comes after that will tell.
        """
        lively = sorted(keys, key=self._known.last_time, reverse=True)[:_ASKED_ON_DOUBT]
        for key in lively:
            try:
                if key[1] == SPACE:
                    if await self._rereads.newer(key):
                        return True
                    continue
                newest = await self._newest(key)
            except (TransientError, VenueError) as error:
                _log.info("silence_not_explained", instrument=key[0], why=str(error))
                return True
            last = self._known.last_id(key)
            if newest is not None and last is not None and int(newest.ids.max()) > last:
                return True
            if newest is not None and last is None:
                # From here on a hole of it shows.
                self._put(newest.take(slice(-1, None)))
        return not lively

    def _look(self, now: float) -> None:
        present = {
            Missing(key, hole.first_id, hole.last_id)
            for key, holes in self._known.holes()
            if key[0] in self._instruments and key[1] != SPACE
            for hole in holes
        }
        self._left &= present
        self._pursued = {
            missing: self._pursued.get(missing) or Pursuit(now + PATIENCE_SECONDS) for missing in present - self._left
        }

    def _joined(self, now: float) -> list[Missing]:
        joined: list[Missing] = []
        due = [missing for missing, pursuit in self._pursued.items() if pursuit.due <= now]
        for missing in sorted(due, key=lambda m: (m.key, m.first)):
            before = joined[-1] if joined else None
            if missing.last - missing.first + 1 > self._most:
                self._leave(missing, "too many trades for the recorder: a backfill can fetch them")
            elif before and before.key == missing.key and missing.last - before.first < PAGE:
                joined[-1] = Missing(before.key, before.first, missing.last)
            else:
                joined.append(missing)
        return joined

    async def _fill(self, missing: Missing) -> None:
        if time.monotonic() < self._not_before:
            return
        why, before, answered, refused = NOT_THERE, self._count(missing), True, False
        try:
            await self._fetch(missing)
        except (TransientError, VenueError) as error:
            # A venue that is away for an hour is asked until it is back.
            why, answered, refused = str(error), False, isinstance(error, VenueError)
            self._hear(error)
        except UserError as error:
            why, answered, refused = str(error), False, True
        await self._log.flushed()
        left = self._count(missing)
        if left < before:
            _log.info("caught_up", instrument=missing.key[0], trades=before - left)
        earlier, now = self._pursued, time.monotonic()
        self._look(now)
        for rest, known in list(self._pursued.items()):
            if not _within(rest, missing):
                continue
            if left < before:
                # It goes on being filled: what it lacks still is counted from the next answer on.
                self._pursued[rest] = Pursuit(now).tried(now)
                continue
            was = next((pursuit for whole, pursuit in earlier.items() if _within(rest, whole)), known)
            tried = self._pursued[rest] = was.tried(now, answered=answered, refused=refused)
            if max(tried.answered, tried.refused) >= TRIES:
                self._leave(rest, why)

    def _count(self, missing: Missing) -> int:
        return sum(last - first + 1 for first, last in self._known.missing(missing.key, missing.first, missing.last))

    async def _fetch(self, missing: Missing) -> None:
        instrument = self._instruments.get(missing.key[0])
        if instrument is None:
            return
        channel = history.trade_channel(self._venue, missing.key[1])
        wanted = (instrument, channel, missing.first, missing.last)
        async for page in trades_by_id(self._rest, self._venue, *wanted, received=self._clock.now):
            self._put(self._known.unknown(page))
            await self._log.room()

    async def _ask_newest(self, key: Key) -> None:
        """Fetch what came after the newest id while no socket brought it; a hole of it shows by itself later."""
        unsure, before = self._unsure.pop(key), self._known.last_id(key)
        if before is None:
            return
        try:
            newest = await self._newest(key)
            after = self._known.last_id(key)
            if newest is None or after != before:
                return
            last = int(newest.ids.max())
            if 0 < last - before <= self._most:
                await self._fetch(Missing(key, before + 1, last))
            elif last > before:
                self._put(newest)
        except (TransientError, VenueError) as error:
            self._hear(error)
            if unsure.tries + 1 < TRIES or isinstance(error, TransientError):
                again = _Unsure(time.monotonic() + pause(unsure.tries), unsure.tries + 1, unsure.last, noted=True)
                self._unsure.setdefault(key, again)
        await self._log.flushed()

    async def _newest(self, key: Key) -> TradeBatch | None:
        instrument = self._instruments.get(key[0])
        if instrument is None:
            return None
        channel = history.trade_channel(self._venue, key[1])
        answer = await self._rest.get(self._venue.trades_request(instrument, channel))
        return self._venue.read_trades(instrument, channel, answer, self._clock.now())

    def _put(self, trades: TradeBatch) -> None:
        if len(trades):
            self._log.put(Record(Kind.TRADES, self._clock.now(), trades.to_ipc()))
            self._metrics.caught_up.inc(len(trades))

    def _hear(self, error: TransientError | VenueError) -> None:
        _log.info("catch_up_failed", why=str(error))
        if isinstance(error, Held):
            self._not_before = time.monotonic() + error.retry_after

    def _leave(self, missing: Missing, why: str) -> None:
        _log.warning("hole_left", instrument=missing.key[0], first=missing.first, last=missing.last, why=why)
        self._pursued.pop(missing, None)
        self._left.add(missing)
        if why == NOT_THERE:
            told = Reread(missing.key[0], missing.key[1], missing.first, missing.last, "unfillable", NOT_THERE)
            self._log.put(told.record(self._clock.now()))
        self._metrics.left.inc()


def _within(part: Missing, whole: Missing) -> bool:
    return part.key == whole.key and whole.first <= part.first and part.last <= whole.last
