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

_log = structlog.get_logger(__name__)


class Intake:
    """Receive for one feed (`exchanges.link.Sink`).

    ``keys`` maps the venue's streams of trades to instrument and id space, and may change. ``last_data`` is when
    the last frame came, on the monotonic clock, None before the first; ``lost_since`` when the last connection
    went, None while one is up. ``closing`` is why we are about to close connections ourselves, if we are.
    ``turned_down`` is told of streams that the venue does not take in, and of its words.
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
    ) -> None:
        self._feed, self._log, self._clock, self._catch_up = feed, log, clock, catch_up
        self._metrics, self._keys, self._connected = metrics, keys, connected
        self._turned_down = turned_down
        self._up: set[str] = set()
        self.last_data: float | None = None
        self.lost_since: float | None = time.monotonic()
        self.closing: str | None = None

    @property
    def up(self) -> int:
        """Give how many connections are up."""
        return len(self._up)

    def connected(self, link_name: str) -> None:
        """Mark a connection as up, and look after what was missed before it was."""
        self._mark(Mark("connected", link_name))
        self._up.add(link_name)
        self._metrics.connects.inc()
        self._changed()
        self._catch_up.look_after(self._keys.values())

    def resubscribed(self, link_name: str) -> None:
        """Mark that another connection has taken over, with no hole in between."""
        self._mark(Mark("resubscribed", link_name))

    def lost(self, link_name: str, cause: str) -> None:
        """Mark a connection as lost; one that is not up cannot be lost."""
        if link_name not in self._up:
            return
        cause = self.closing or cause
        self._up.discard(link_name)
        self._mark(Mark("lost", link_name, cause))
        self._metrics.count_lost(cause.partition(":")[0].partition("(")[0].strip()[:40])
        if self.closing is None:
            _log.warning("connection_lost", feed=self._feed, connection=link_name, cause=cause)
        self._changed()

    def close(self) -> None:
        """Mark what is still up as lost."""
        for link_name in sorted(self._up):
            self.lost(link_name, "stopped")

    def received(self, frames: Sequence[bytes]) -> None:
        """Take frames that arrived together."""
        self._log.put_frames(frames, self._clock.now())
        self.last_data = time.monotonic()

    def refused(self, link_name: str, streams: tuple[str, ...], words: str) -> None:
        """Pass on that the venue does not take in streams."""
        _log.error("subscription_refused", feed=self._feed, connection=link_name, streams=streams, words=words)
        self._turned_down(streams, words)

    async def doubtful(self, streams: tuple[str, ...]) -> bool:
        """Ask the venue whether the silence of these streams hides trades."""
        keys = [self._keys[stream] for stream in streams if stream in self._keys]
        return await self._catch_up.newer(keys)

    async def room(self) -> None:
        """Wait while too much waits for the disk."""
        await self._log.room()

    def _mark(self, mark: Mark) -> None:
        self._log.put(mark.record(self._clock.now()))

    def _changed(self) -> None:
        self._metrics.connected.set(len(self._up))
        if self._up:
            self.lost_since = None
            self._connected.set()
        else:
            self.lost_since = time.monotonic()
            self._connected.clear()
