"""What a feed records: the instruments of its settings, and those that operators added or took away."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

import structlog

from core.errors import TransientError, UnknownName, UserError, VenueError
from core.instruments import Instrument
from core.records import Command
from core.settings import FeedSettings
from dataflows.inbox import wanted
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commands import marked, taken_out
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.connections import Connections
from dataflows.recorder.known_trades import Key, KnownTrades
from dataflows.recorder.listings import Listings
from dataflows.recorder.past import candles_before, past
from exchanges import history
from exchanges.rest import Rest
from exchanges.venue import Venue

_log = structlog.get_logger(__name__)

PAST_TRIES = 2
"""So often the past of a new instrument is asked for; then it is recorded, and its past is fetched beside that."""

MOST_TOLD = 20
"""Of so many instruments the venue's candles are asked for at every start."""

TRY_AGAIN_SECONDS = 60.0
"""How often what cannot be recorded is tried again, and a past that could not be fetched."""

_MICROS = 1_000_000
_PAUSE_SECONDS = 2.0


class Subscriptions:
    """Hold the instruments of one feed, by name, and the streams of their trades.

    ``instruments`` and ``keys`` (stream to instrument and id space) change while the feed runs; until ``begun`` they
    are empty, because the venue is still asked for its list. ``refused`` maps
    the instruments that are wanted but cannot be recorded to the reason; ``lacking`` those that are recorded without
    channels that the venue refused; both are tried again. ``fetching`` is the one whose past is being fetched before
    it is recorded, ``unfetched`` those that are recorded though theirs could not be, and since when (monotonic
    clock). The pasts of all instruments that are new together are ``most`` trades at most.
    """

    def __init__(
        self, feed: FeedSettings, venue: Venue, rest: Rest, candles: Sequence[tuple[str, int]], most: int
    ) -> None:
        self._feed, self._venue, self._rest, self._candles, self._most = feed, venue, rest, candles, most
        self.channels = feed.channels or (venue.trade_channel,)
        self._traded = {channel: space for channel in self.channels if (space := venue.id_space(channel)) is not None}
        self._listings = Listings(feed.name, venue, rest)
        self.instruments: dict[str, Instrument] = {}
        self.keys: dict[str, Key] = {}
        self.refused: dict[str, str] = {}
        self.begun = False
        self._without: dict[str, dict[str, str]] = {}
        self.fetching: str | None = None
        self.unfetched: dict[str, float] = {}
        self._turn = asyncio.Lock()
        self._turned_down: asyncio.Queue[tuple[tuple[str, ...], str]] = asyncio.Queue()

    def use(
        self,
        log: CommitLog,
        clock: SteadyClock,
        known: KnownTrades,
        connections: Connections,
        past_underway: Callable[[bool], None],
    ) -> None:
        """Say where records go, who connects, and who wants to know that a past is being fetched."""
        self._log, self._clock, self._known, self._connections = log, clock, known, connections
        self._past_underway = past_underway
        self._listings.use(log, clock)

    @property
    def lacking(self) -> dict[str, str]:
        """Give the instruments that are recorded without some of their channels, and why."""
        without = {
            name: (", ".join(gone), "; ".join(sorted(set(gone.values())))) for name, gone in self._without.items()
        }
        return {
            name: f"{self._venue.name} does not take {gone} of {name}: {words}"
            for name, (gone, words) in without.items()
        }

    @property
    def delisted(self) -> dict[str, str]:
        """Give the instruments that are recorded and no longer on the venue's list, and why."""
        return self._listings.delisted

    async def begin(self, commands: Sequence[tuple[int, Command]]) -> None:
        """Subscribe to what is wanted after all ``commands``, which are offset and command of the inbox.

        What was recorded before is connected at once; what is new gets its past first. Commands that were acted on
        before are not judged again: what they ask for and the venue does not list at present is tried again.
        """
        async with self._turn:
            await self._begin(commands)

    async def act(self, offset: int, command: Command) -> None:
        """Do what a command says, and write its copy into the feed."""
        async with self._turn:
            await self._act(offset, command)

    def turned_down(self, streams: tuple[str, ...], words: str) -> None:
        """Note that the venue does not take in streams: `run` records their instruments no longer."""
        self._turned_down.put_nowait((streams, words))

    async def run(self) -> None:
        """Take out what the venue turned down, and try again what cannot be recorded, until cancelled."""
        while True:
            try:
                streams, words = await asyncio.wait_for(self._turned_down.get(), TRY_AGAIN_SECONDS)
            except TimeoutError:
                async with self._turn:
                    await self._listings.again(self.instruments)
                    await self._try_again()
                await self._fetch_later()
            else:
                async with self._turn:
                    await self._take_out(streams, words)

    async def _begin(self, commands: Sequence[tuple[int, Command]]) -> None:
        fresh = [(offset, command) for offset, command in commands if offset > self._known.acted]
        refused = {offset: why for offset, command in fresh if (why := await self._refusal(command))}
        without = refused.keys() | self._known.refused
        names = wanted(self._feed, [command for offset, command in commands if offset not in without])
        found = [self._accept(name, await self._unlisted(name)) for name in names]
        self.begun = True
        for offset, command in fresh:
            self._copy(marked(offset, command, refused.get(offset)))
        said = {command.values.get("instrument") for _, command in fresh if command.command == "unsubscribe"}
        for name in sorted(self._known.instruments() - self.instruments.keys() - said):
            # Taken out of the settings, or no longer listed: only now does the feed say so.
            self._copy(taken_out(self._feed.name, name))
        await self._start([one for one in found if one is not None])

    async def _try_again(self) -> None:
        for name in list(self.refused):
            instrument = self._accept(name, await self._unlisted(name))
            if instrument is not None:
                await self._start([instrument])
        without, self._without = self._without, {}
        for name, gone in without.items():
            await self._connections.again(self.instruments[name], tuple(gone))

    async def _fetch_later(self) -> None:
        share = self._most // max(1, len(self.unfetched))
        await self._log.flushed()
        for name, since in list(self.unfetched.items()):
            instrument = self.instruments.get(name)
            if instrument is None:
                continue
            try:
                await self._put_past(instrument, share, int((time.monotonic() - since) * _MICROS))
            except TransientError as error:
                _log.info("past_not_fetched", instrument=name, why=str(error))
                continue
            except VenueError as error:
                _log.warning("past_not_fetched", instrument=name, why=str(error))
            self.unfetched.pop(name, None)

    async def _take_out(self, streams: Collection[str], words: str) -> None:
        for name, instrument in list(self.instruments.items()):
            gone = [channel for channel in self.channels if self._venue.stream(instrument, channel) in streams]
            if not gone:
                continue
            if any(channel in self._traded for channel in gone) or not self._traded:
                await self._drop(name)
                self._copy(taken_out(self._feed.name, name))
                self.refused[name] = f"{self._venue.name} does not take the subscription of {name}: {words}"
            else:
                # Its trades go on.
                self._without.setdefault(name, {}).update(dict.fromkeys(gone, words))

    async def _act(self, offset: int, command: Command) -> None:
        name = command.values.get("instrument", "")
        why = await self._refusal(command)
        self._copy(marked(offset, command, why))
        if why:
            _log.warning("command_refused", feed=self._feed.name, command=command.command, why=why)
        elif command.command == "unsubscribe":
            await self._drop(name)
        elif name not in self.instruments and (instrument := self._accept(name, None)) is not None:
            await self._start([instrument])

    async def _refusal(self, command: Command) -> str | None:
        return await self._unlisted(command.values.get("instrument", "")) if command.command == "subscribe" else None

    async def _unlisted(self, name: str) -> str | None:
        """Give why an instrument cannot be recorded; None where the venue has it, or does not say."""
        try:
            self._venue.native(Instrument.parse(name))
        except UserError as error:
            return str(error)
        await self._listings.look_for(name)
        if self._listings.all and name not in self._listings.all:
            return str(UnknownName(f"instrument of {self._venue.name}", name, self._listings.all))
        return None

    def _accept(self, name: str, why: str | None) -> Instrument | None:
        if why is not None:
            if self.refused.get(name) != why:
                _log.error("instrument_refused", feed=self._feed.name, why=why)
            self.refused[name] = why
            return None
        instrument = self._listings.all.get(name) or Instrument.parse(name)
        self.refused.pop(name, None)
        self.instruments[name] = instrument
        self._listings.tell(instrument)
        self.keys |= {
            self._venue.stream(instrument, channel): (name, space) for channel, space in self._traded.items()
        }
        return instrument

    async def _drop(self, name: str) -> None:
        self.refused.pop(name, None)
        self.unfetched.pop(name, None)
        self._without.pop(name, None)
        instrument = self.instruments.pop(name, None)
        if instrument is not None:
            # Its keys go last: the mark of the connection that is closed names the instruments by them.
            await self._connections.remove(instrument)
            for stream in [stream for stream, key in self.keys.items() if key[0] == name]:
                del self.keys[stream]

    async def _start(self, instruments: Sequence[Instrument]) -> None:
        recorded = self._known.instruments()
        new = [one for one in instruments if one.name not in recorded]
        known = [one for one in instruments if one.name in recorded]
        await self._tell_candles(known)
        await self._connections.add(known)
        self._past_underway(bool(new))
        for instrument in new:
            self.fetching = instrument.name
            await self._fetch_past(instrument, self._most // len(new))
        self.fetching = None
        self._past_underway(False)
        # Taken away again meanwhile.
        await self._connections.add([one for one in new if one.name in self.instruments])

    async def _tell_candles(self, instruments: Sequence[Instrument]) -> None:
        """Journal the venue's candles for runs that are new, and have too little past in the lake.

        Only of few instruments, and only once: whoever is recorded already waits for it.
        """
        try:
            present = await history.time(self._rest, self._venue) if len(instruments) <= MOST_TOLD else 0
            for instrument in instruments if present else ():
                wanted = (self._candles, present, present, self._clock.now)
                async for record in candles_before(self._rest, self._venue, instrument, *wanted):
                    self._log.put(record)
        except (TransientError, VenueError) as error:
            _log.warning("venue_candles_not_fetched", feed=self._feed.name, why=str(error))

    async def _fetch_past(self, instrument: Instrument, most: int) -> None:
        began = time.monotonic()
        for left in reversed(range(PAST_TRIES)):
            try:
                await self._put_past(instrument, most)
            except (TransientError, VenueError) as error:
                _log.warning("past_not_fetched", instrument=instrument.name, why=str(error))
                if left:
                    await asyncio.sleep(_PAUSE_SECONDS)
                elif isinstance(error, TransientError):
                    self.unfetched[instrument.name] = began
            else:
                return

    async def _put_past(self, instrument: Instrument, most: int, age: int = 0) -> None:
        def first_known(channel: str) -> int | None:
            return self._known.first_id((instrument.name, self._traded[channel])) if age else None

        wanted = (
            tuple(self._traded),
            self._candles,
            self._feed.history_minutes,
            most,
            self._clock.now,
            age,
            first_known,
            self._known.unknown,
        )
        async for record in past(self._rest, self._venue, instrument, *wanted):
            if instrument.name not in self.instruments:
                return
            self._log.put(record)
            await self._log.room()
        await self._log.flushed()

    def _copy(self, command: Command) -> None:
        self._log.put(command.record(self._clock.now()))
