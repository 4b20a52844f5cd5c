"""The venue's list of instruments: who is on it, with which steps; what it says goes into the feed."""

import time

import structlog

from core.errors import TransientError, VenueError
from core.instruments import Instrument
from core.records import Listing
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from exchanges import history
from exchanges.rest import Rest
from exchanges.venue import Venue

_log = structlog.get_logger(__name__)

ASK_SECONDS = 30.0
"""The list is not asked for more often, whoever is looked for on it."""

RELIST_SECONDS = 3600.0
"""How often it is read again: steps change, contracts change their size, markets end."""


class Listings:
    """Know the list of one feed's venue; ``delisted`` are recorded instruments that are no longer on it, and why."""

    def __init__(self, feed: str, venue: Venue, rest: Rest) -> None:
        self._feed, self._venue, self._rest = feed, venue, rest
        self._asked = float("-inf")
        self._told: dict[str, Instrument] = {}
        self.all: dict[str, Instrument] = {}
        self.delisted: dict[str, str] = {}

    def use(self, log: CommitLog, clock: SteadyClock) -> None:
        """Say where records go."""
        self._log, self._clock = log, clock

    async def look_for(self, name: str) -> None:
        """Read the list where an instrument is not on it, but not too often."""
        if name not in self.all and time.monotonic() - self._asked > ASK_SECONDS:
            await self._read()

    async def again(self, recorded: dict[str, Instrument]) -> None:
        """Read the list again once an hour; replace the recorded instruments by what it says of them."""
        if time.monotonic() - self._asked < RELIST_SECONDS or not await self._read():
            return
        for name in list(recorded):
            listed = self.all.get(name)
            if listed is None:
                self.delisted[name] = f"{self._venue.name} no longer lists {name}"
            else:
                recorded[name] = listed
                self.delisted.pop(name, None)
                self.tell(listed)

    def tell(self, instrument: Instrument) -> None:
        """Write what the list says of an instrument into the feed, unless it was told so."""
        if instrument.name in self.all and self._told.get(instrument.name) != instrument:
            self._told[instrument.name] = instrument
            self._log.put(Listing.of(instrument).record(self._clock.now()))

    async def _read(self) -> bool:
        self._asked = time.monotonic()
        try:
            found = {one.name: one for one in await history.instruments(self._rest, self._venue)}
        except (TransientError, VenueError) as error:
            _log.warning("instruments_not_listed", feed=self._feed, why=str(error))
            return False
        self.all = found or self.all
        return bool(found)
