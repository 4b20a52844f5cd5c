"""The intake: what the connections of a feed bring goes into its commit log, with marks of what happened."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from core.records import Mark
from dataflows.recorder.catch_up import CatchUp
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import Key
from dataflows.recorder.metrics import FeedMetrics
from exchanges.sink import CAUSES

_log = structlog.get_logger(__name__)

MOST_IN_ORDER = 20
"""Of a feed of so many instruments what was missed is fetched before it is read on; of a larger one, beside it."""

ORDER_SECONDS = 10.0
"""So long a connection waits for that."""

_COUNTED = CAUSES | {"journal_full", "disk"}


class Intake:
    """Receive for one feed (`exchanges.link.Sink`).

    ``keys`` maps the venue's streams of trades to instrument and id space, and may change. ``last_data`` is when
    the last frame came, on the monotonic clock, None before the first; ``lost_since`` when the last connection
    went, None while one is up. ``closing`` is why we are about to close connections ourselves, if we are.
    ``turned_down`` is told of streams that the venue does not take in, and of its words. ``last_time`` gives the
    newest event time of an instrument's trades in the journal, 0 before the first; without it no stream is ever
    found silent by itself.

    Marks name the instruments whose trades the connection carries. The cause of a lost one begins with a fixed
    word (`exchanges.sink.CAUSES`, ``journal_full`` or ``disk``); details follow after a colon.
    """

    def __init__(
        self,
        feed: str,
        log: CommitLog,
        clock: SteadyClock,
        catch_up: CatchUp,
        metrics: FeedMetrics,
        keys: Mapping[str, Key],
        connected: asyncio.Event,
        turned_down: Callable[[tuple[str, ...], str], None],
        last_time: Callable[[Key], int] | None = None,
    ) -> None:
        self._feed, self._log, self._clock, self._catch_up = feed, log, clock, catch_up
        self._metrics, self._keys, self._connected = metrics, keys, connected
        self._turned_down, self._last_time = turned_down, last_time
        self._up: dict[str, tuple[str, ...]] = {}
        self._heard: dict[str, int] = {}
        self._ordering: set[asyncio.Task[None]] = set()
        self._in_order = asyncio.Event()
        self._in_order.set()
        self._held: list[Sequence[bytes]] = []
        self._past_underway = False
        self.last_data: float | None = None
        self.lost_since: float | None = time.monotonic()
        self.closing: str | None = None

    @property
    def up(self) -> int:
        """Give how many connections are up."""
        return len(self._up)

    def connected(self, link_name: str, streams: tuple[str, ...]) -> None:
        """Mark a connection as up, and fetch what was missed before anything is read from it.

        So the journal has trades in order, and candles close with all of theirs: what strategies decide on is not
        revised later. Of many instruments that would take too long: theirs is fetched beside.
        """
        self._mark(Mark("connected", link_name, instruments=self._carried(streams)))
        self._up[link_name] = streams
        self._metrics.connects.inc()
        # Of this connection alone: the others' are asked for when theirs is back.
        keys = [self._keys[stream] for stream in streams if stream in self._keys]
        if len(self._keys) > MOST_IN_ORDER:
            self._catch_up.look_after(keys)
        else:
            self._in_order.clear()
            task = asyncio.create_task(self._fetch_first(keys))
            self._ordering.add(task)
            task.add_done_callback(self._fetched)
        self._changed()

    def resubscribed(self, link_name: str, streams: tuple[str, ...]) -> None:
        """Mark that another connection has taken over, with no hole in between."""
        self._mark(Mark("resubscribed", link_name, instruments=self._carried(streams)))

    def lost(self, link_name: str, cause: str, streams: tuple[str, ...]) -> None:
        """Mark a connection as lost; one that is not up cannot be lost."""
        if link_name not in self._up:
            return
        cause = self.closing or cause
        del self._up[link_name]
        self._mark(Mark("lost", link_name, cause, self._carried(streams)))
        word = cause.partition(":")[0]
        self._metrics.count_lost(word if word in _COUNTED else "other")
        if self.closing is None:
            _log.warning("connection_lost", feed=self._feed, connection=link_name, cause=cause)
        self._changed()

    def interrupted(self, link_name: str, cause: str, streams: tuple[str, ...]) -> None:
        """Mark streams of a connection that is up as lost and back, and fetch what they missed."""
        carried = self._carried(streams)
        self._mark(Mark("lost", link_name, cause, carried))
        self._mark(Mark("connected", link_name, instruments=carried))
        self._catch_up.look_after([self._keys[stream] for stream in streams if stream in self._keys])

    def close(self) -> None:
        """Hand on what is held, and mark what is still up as lost."""
        for task in self._ordering:
            task.cancel()
        self._release()
        for link_name, streams in sorted(self._up.items()):
            self.lost(link_name, "stopped", streams)

    def received(self, frames: Sequence[bytes]) -> None:
        """Take frames that arrived together; those that come before what was missed wait for it."""
        if self._in_order.is_set():
            self._log.put_frames(frames, self._clock.now())
        else:
            self._held.append(frames)
        self.last_data = time.monotonic()

    def past_underway(self, underway: bool) -> None:
        """Say whether the past of an instrument is being fetched: meanwhile no tick may close its candles."""
        self._past_underway = underway
        self._changed()

    def refused(self, link_name: str, streams: tuple[str, ...], words: str) -> None:
        """Pass on that the venue does not take in streams."""
        _log.error("subscription_refused", feed=self._feed, connection=link_name, streams=streams, words=words)
        self._turned_down(streams, words)

    def silent(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        """Give the streams of trades none of which has come into the journal since this was asked last of them."""
        if self._last_time is None:
            return ()
        found = []
        for stream in streams:
            if stream in self._keys:
                newest = self._last_time(self._keys[stream])
                if self._heard.get(stream) == newest:
                    found.append((-newest, stream))
                self._heard[stream] = newest
        return tuple(stream for _, stream in sorted(found))

    async def doubtful(self, streams: tuple[str, ...]) -> bool:
        """Ask the venue whether the silence of these streams hides trades."""
        keys = [self._keys[stream] for stream in streams if stream in self._keys]
        return await self._catch_up.newer(keys)

    async def room(self) -> None:
        """Wait while too much waits for the disk, or while what was missed is being fetched."""
        await self._log.room()
        await self._in_order.wait()

    async def _fetch_first(self, keys: Sequence[Key]) -> None:
        try:
            await asyncio.wait_for(self._catch_up.in_order(keys), ORDER_SECONDS)
        except TimeoutError:
            _log.warning("catch_up_takes_long", feed=self._feed, instruments=len(keys))
            self._catch_up.look_after(keys)

    def _fetched(self, task: "asyncio.Task[None]") -> None:
        self._ordering.discard(task)
        if not self._ordering:
            self._release()
            self._changed()

    def _release(self) -> None:
        for frames in self._held:
            # Times of receipt never go back in a journal.
            self._log.put_frames(frames, self._clock.now())
        self._held = []
        self._in_order.set()

    def _carried(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted({self._keys[stream][0] for stream in streams if stream in self._keys}))

    def _mark(self, mark: Mark) -> None:
        self._log.put(mark.record(self._clock.now()))

    def _changed(self) -> None:
        self._metrics.connected.set(len(self._up))
        self.lost_since = None if self._up else self.lost_since or time.monotonic()
        # Ticks go on while a connection is up and nothing older is still to come.
        if self._up and self._in_order.is_set() and not self._past_underway:
            self._connected.set()
        else:
            self._connected.clear()
