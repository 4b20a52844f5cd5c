"""One connection's worth of streams, kept up whatever the network does."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import structlog

from core.errors import TransientError, UserError
from exchanges.asked import Method, capacity
from exchanges.attempts import Attempts
from exchanges.carrier import Dial
from exchanges.clients import websockets_to
from exchanges.guard import Watch, guard
from exchanges.session import Session
from exchanges.sink import Sink
from exchanges.stale_streams import StaleStreams
from exchanges.venue import Connection, Venue

__all__ = ["Link", "LinkHealth", "Sink", "State", "Watch"]

_log = structlog.get_logger(__name__)
_CONNECTING = 10.0
_GOODBYE = 5.0
_STOPPING = 1.0
PATIENT_TIMES = 8
"""Of connections in a row that brought data, so many may end with a refusal that passes; then it is of a stream."""

_RENEWED = (0.9, 0.97)
"""Shares of a connection's lifetime between which it is renewed, so that many links do not do it at once."""

State = Literal["waiting", "connecting", "subscribed", "live", "stopped"]
"""``subscribed``: connected, and no data yet; ``live``: data has come on this connection."""


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """Say how a link is; times are of the monotonic clock, in seconds.

    ``since`` is when it came into ``state``; ``attempts`` counts connections that were tried, ``failures`` those
    in a row that came to nothing; ``last_data`` is None until data came; ``cause`` is of the latest loss.
    """

    state: State
    since: float
    attempts: int
    failures: int
    last_data: float | None
    cause: str


class Link:
    """Keep the streams of one `Connection` coming into a sink.

    What the venue refuses is forgotten and told, and the rest stays. Where it says that its refusal passes, all is
    asked for again on another connection, after the back-off; unless connection after connection brings data and such
    a refusal: then it is that of a stream, which is not to take the others down for ever.

    A link whose last stream has gone keeps its connection for as long as the venue does, and opens none before it is
    given streams again. All links to one address share ``attempts``. ``name`` is what the sink is told; without it,
    the venue and the path of the address. ``dial`` opens connections; without it, websockets of our own.
    """

    def __init__(
        self,
        venue: Venue,
        connection: Connection,
        sink: Sink,
        attempts: Attempts,
        watch: Watch,
        *,
        name: str | None = None,
        dial: Dial | None = None,
    ) -> None:
        self.name = name or f"{venue.name}{urlsplit(connection.url).path}"
        self._venue = venue
        self._connection = connection
        self._sink = sink
        self._attempts = attempts
        self._watch = watch
        self._dial = dial or websockets_to(venue)
        self._streams = dict.fromkeys(connection.streams)
        self._wanted = asyncio.Event()
        self._stale = StaleStreams(self.name, sink, watch, lambda: self.streams)
        self._session: Session | None = None
        self._sessions: list[Session] = []
        self._renewal: asyncio.Task[Session] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._state: State = "stopped"
        self._since = time.monotonic()
        self._tried = self._failures = self._put_off = 0
        self._last_data: float | None = None
        self._cause = ""

    async def run(self) -> None:
        """Keep the streams coming until cancelled.

        Raises only what the sink raises, and `UserError` for an address that is none.
        """
        try:
            session = await self._connected()
            while True:
                self._enter("subscribed", session)
                over = await self._kept(session)
                if isinstance(over, str):
                    session = await self._after_loss(session, over)
                else:
                    self._retire(session)
                    session = over
        finally:
            await self._stop()

    async def change(self, method: Method, streams: Sequence[str]) -> None:
        """Take streams in (``SUBSCRIBE``) or out (``UNSUBSCRIBE``), now and in every later connection.

        Raises `UserError` where a connection cannot hold so many.
        """
        taken_in = method == "SUBSCRIBE"
        changed = [stream for stream in dict.fromkeys(streams) if (stream in self._streams) != taken_in]
        if taken_in and len(self._streams) + len(changed) > capacity(self._venue):
            raise UserError(f"a connection to {self._venue.name} holds {capacity(self._venue)} streams at most")
        if taken_in:
            self._streams.update(dict.fromkeys(changed))
            self._wanted.set()
        else:
            self._forget(changed)
        for session in self._sessions:
            session.ask(method, changed)

    @property
    def streams(self) -> tuple[str, ...]:
        """Give the streams that are wanted now."""
        return tuple(self._streams)

    def reconnect(self, cause: str) -> None:
        """Drop the connection and open another one: the caller knows that this one is at fault."""
        if self._session is not None:
            self._session.fail(f"reconnect: {cause}")

    def health(self) -> LinkHealth:
        """Give the figures of this moment."""
        state, since, data = self._state, self._since, self._last_data
        if self._session is not None and self._session.last_data is not None:
            data = max(data or 0.0, self._session.last_data)
            state = "live" if state == "subscribed" else state
        return LinkHealth(state, since, self._tried, self._failures, data, self._cause)

    async def _connected(self) -> Session:
        while True:
            if not self._streams:
                self._enter("waiting", None)
                self._wanted.clear()
                await self._wanted.wait()
            session = await self._attempt(renewing=False)
            if session is not None:
                return session

    async def _attempt(self, renewing: bool) -> Session | None:
        if not renewing:
            self._enter("waiting", None)
        await self._attempts.permission(self._failures)
        if not renewing:
            self._enter("connecting", None)
        self._tried += 1
        bell = asyncio.Event()
        try:
            socket = await self._dial(self._connection.url, self.streams, bell.set, _CONNECTING)
        except TransientError as error:
            self._failures += 1
            self._cause = str(error)
            self._attempts.failed(error)
            return None
        self._attempts.succeeded()
        if not renewing:
            self._sink.connected(self.name, self.streams)
        patient = self._put_off < PATIENT_TIMES
        session = Session(self._venue, socket, bell, self._sink, self._refused, lambda: self._streams, patient)
        self._sessions.append(session)
        return session

    async def _kept(self, session: Session) -> str | Session:
        """Give the cause of its loss, or the session that has taken over."""
        clock = asyncio.get_running_loop().time
        renew_at = session.opened_at + self._venue.limits.lifetime * random.uniform(*_RENEWED)  # noqa: S311 - jitter
        watching = guard(session, self._venue.heartbeat, self._watch, lambda: self.streams, self._sink.doubtful)
        guarding = asyncio.create_task(watching)
        looking = asyncio.create_task(self._stale.watch(session))
        try:
            while not guarding.done() and not looking.done():
                if self._renewal is None and (session.announced.done() or clock() >= renew_at):
                    self._renewal = asyncio.create_task(self._renewed())
                awaited: asyncio.Future[Any] = self._renewal or session.announced
                pause = None if self._renewal else max(0.0, renew_at - clock())
                await asyncio.wait({guarding, looking, awaited}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                if self._renewal and self._renewal.done():
                    renewed, self._renewal = self._renewal.result(), None
                    self._sink.resubscribed(self.name, self.streams)
                    return renewed
            if looking.done():
                looking.result()
            return guarding.result()
        finally:
            guarding.cancel()
            looking.cancel()
            await asyncio.gather(guarding, looking, return_exceptions=True)

    async def _renewed(self) -> Session:
        while True:
            session = await self._attempt(renewing=True)
            if session is None:
                continue
            if await self._works(session):
                return session
            self._failures += 1
            await self._close(session, _STOPPING)

    async def _works(self, session: Session) -> bool:
        if not self._streams or await session.proven(self._watch.first_data_s):
            return True
        if session.over.done():
            return False
        return session.last_data is not None or not await self._sink.doubtful(self.streams)

    async def _after_loss(self, session: Session, cause: str) -> Session:
        held = asyncio.get_running_loop().time() - session.opened_at
        steady = session.last_data is not None and held >= self._watch.steady_s
        self._failures = 0 if steady else self._failures + 1
        if session.last_data is not None and cause.startswith("refused:"):
            self._put_off += 1
        elif steady:
            self._put_off = 0
        self._enter("waiting", None)
        self._cause = cause
        self._sink.lost(self.name, cause, self.streams)
        self._retire(session)
        if self._renewal is None:
            return await self._connected()
        try:
            renewed = await self._renewal
        finally:
            self._renewal = None
        self._sink.connected(self.name, self.streams)
        return renewed

    def _retire(self, session: Session) -> None:
        # Beside: its last frames are still handed on while the next connection is up already.
        task = asyncio.create_task(self._close(session, _GOODBYE))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _close(self, session: Session, patience: float) -> None:
        await session.close(patience)
        if session in self._sessions:
            self._sessions.remove(session)

    async def _stop(self) -> None:
        tasks = [*self._retiring, *([self._renewal] if self._renewal else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(
            *tasks, *(session.close(_STOPPING) for session in self._sessions), return_exceptions=True
        )
        was_up = self._session is not None
        self._sessions.clear()
        self._enter("stopped", None)
        if was_up:
            self._sink.lost(self.name, "stopped", self.streams)

    def _enter(self, state: State, session: Session | None) -> None:
        if self._session is not None and self._session.last_data is not None:
            self._last_data = self._session.last_data
        if session is not None:
            self._failures = 0 if session.last_data is not None else self._failures
        self._state, self._session = state, session
        self._since = asyncio.get_running_loop().time()

    def _forget(self, streams: Sequence[str]) -> None:
        for stream in streams:
            self._streams.pop(stream, None)

    def _refused(self, streams: tuple[str, ...], words: str) -> None:
        gone = tuple(stream for stream in streams if stream in self._streams)
        if gone:
            _log.warning("streams_refused", link=self.name, streams=gone, words=words)
            self._forget(gone)
            self._sink.refused(self.name, gone, words)
