"""When one stream of a connection has died while the others live."""

import asyncio
from collections.abc import Callable

import structlog

from exchanges.guard import Watch
from exchanges.session import Session
from exchanges.sink import Sink

MOST_ASKED = 5
"""Of so many silent streams the venue is asked at a time: most are of quiet markets, and asking costs its budget."""

RECONNECT_SECONDS = 3600.0
"""No more often than this a connection whose other streams live is given up for one that is dead."""

ON_ITS_WAY_SECONDS = 1.0
"""What the venue knew when it was asked has arrived and been followed after so long."""

_log = structlog.get_logger(__name__)


class StaleStreams:
    """Watch every stream of a link by itself, and have those that are dead subscribed anew.

    The link does not know which stream a frame is of: telling them apart would cost more than receiving them. The
    sink does, because it follows all trades anyway; it is asked every ``watch.stale_s``.
    """

    def __init__(self, link_name: str, sink: Sink, watch: Watch, streams: Callable[[], tuple[str, ...]]) -> None:
        self._name, self._sink, self._watch, self._streams = link_name, sink, watch, streams
        self._found: dict[str, int] = {}
        self._acquitted: dict[str, int] = {}
        self._reconnected = float("-inf")

    async def watch(self, session: Session) -> None:
        """Watch until cancelled; the session is ended where a stream stays dead."""
        self._sink.silent(self._streams())
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._watch.first_data_s)
        while True:
            revived = False
            # Where nothing at all comes the whole connection is in doubt, which is not judged here.
            live = session.last_data is not None and clock() < session.last_data + self._watch.stale_s
            if live and not (session.blocked or session.ending or session.sending):
                revived = await self._look(session)
            await asyncio.sleep(self._watch.first_data_s if revived else self._watch.stale_s)

    async def _look(self, session: Session) -> bool:
        silent = self._sink.silent(self._streams())
        for known in (self._found, self._acquitted):
            for stream in [stream for stream in known if stream not in silent]:
                del known[stream]
        revived = False
        for stream in sorted(silent, key=lambda one: self._acquitted.get(one, 0))[:MOST_ASKED]:
            if not await self._is_dead(session, stream):
                self._acquitted[stream] = self._acquitted.get(stream, 0) + 1
            elif self._revive(session, stream, silent):
                revived = True
            else:
                break
        return revived

    async def _is_dead(self, session: Session, stream: str) -> bool:
        if not await self._sink.doubtful((stream,)):
            return False
        await asyncio.sleep(ON_ITS_WAY_SECONDS)
        wanted = stream in self._streams() and not session.ending
        return wanted and stream in self._sink.silent((stream,))

    def _revive(self, session: Session, stream: str, silent: tuple[str, ...]) -> bool:
        """Subscribe the stream anew, and tell; False where the connection was given up instead.

        Where one has died, others that are ``silent`` may have: nothing proves any longer that they are only quiet.
        """
        times = self._found[stream] = self._found.get(stream, 0) + 1
        now = asyncio.get_running_loop().time()
        if times > 1 and now >= self._reconnected + RECONNECT_SECONDS:
            self._reconnected = now
            session.fail(f"silence: {stream} alone stays silent")
            return False
        _log.warning("stream_silent", link=self._name, stream=stream, times=times)
        doubted: tuple[str, ...] = (stream,)
        if times & (times - 1) == 0:
            session.ask_anew(stream)
            carried = self._streams()
            doubted += tuple(one for one in silent if one != stream and one in carried)
        self._sink.interrupted(self._name, f"silence: {stream} alone", doubted)
        return True
