"""One websocket with subscriptions on it: what it was asked, what it answered, when it last brought data."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from core.errors import MalformedFrame, TransientError
from exchanges.messages import Ack, ErrorReply, Kline, Message, Quote, Shutdown, Trade
from exchanges.sink import Sink
from exchanges.socket import Socket
from exchanges.venue import Venue

Method: TypeAlias = Literal["SUBSCRIBE", "UNSUBSCRIBE"]

_ALIKE = 16
"""Frames of one kind begin alike: so many bytes tell data from answers and notices at the venues that are known."""
_KINDS = 4096


@dataclass(frozen=True, slots=True)
class Wish:
    """Hold one message that takes streams in or out; ``first``: it is what a connection begins with."""

    text: str
    method: Method
    streams: tuple[str, ...]
    first: bool = False


class Session:
    """Hold one open connection, subscribe it and hand on what arrives, from its construction on.

    ``bell`` is set whenever the socket has messages. Times are the loop's: ``last_data`` is when the latest trade,
    quote or kline came (None: never), ``quiet_since`` when to begin to wait for one. ``announced`` is done when the
    venue has said that it will close the connection. ``over`` ends, with the cause, after the last frame was handed
    on. ``refused`` is called with a wish that the venue refused, and its words.
    """

    def __init__(
        self,
        venue: Venue,
        socket: Socket,
        bell: asyncio.Event,
        sink: Sink,
        refused: "Callable[[Session, Wish, str], None]",
        wishes: Sequence[Wish],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.announced: asyncio.Future[None] = loop.create_future()
        self.opened_at = self.quiet_since = loop.time()
        self.last_data: float | None = None
        self.blocked = False
        self._clock = loop.time
        self._venue = venue
        self._socket = socket
        self._bell = bell
        self._sink = sink
        self._refused = refused
        self._changed = asyncio.Event()
        self._outbox: asyncio.Queue[Wish] = asyncio.Queue()
        self._asked: deque[Wish] = deque()
        self._kinds: set[bytes] = set()
        for wish in wishes:
            self._outbox.put_nowait(wish)
        self.over: asyncio.Task[str] = asyncio.create_task(self._receive())
        self._tasks = [asyncio.create_task(self._send())]
        if venue.heartbeat.by == "client":
            self._tasks.append(asyncio.create_task(self._beat()))

    @property
    def last_bytes(self) -> float:
        """Give when anything came, heartbeats included."""
        return self._socket.last_bytes

    @property
    def ending(self) -> bool:
        """Say whether nothing more can arrive, though something may still be to be handed on."""
        return self._socket.over.done()

    @property
    def asking(self) -> bool:
        """Say whether there are messages that are not sent yet, or not answered."""
        return self._outbox.qsize() > 0 or bool(self._asked)

    def ask(self, wish: Wish) -> None:
        """Send one more message, after those that wait."""
        self._outbox.put_nowait(wish)

    async def proven(self, timeout: float) -> bool:
        """Wait until every message is answered and data has come, or for ``timeout`` seconds; say which."""
        try:
            async with asyncio.timeout(timeout):
                while (self.asking or self.last_data is None) and not self.over.done():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return not self.over.done()

    def fail(self, cause: str) -> None:
        """End it at once."""
        self._socket.fail(cause)

    async def close(self, patience: float) -> None:
        """Say goodbye and end it; what arrives within ``patience`` seconds is handed on."""
        await self._socket.close(patience)
        await asyncio.wait({self.over}, timeout=patience)
        for task in (self.over, *self._tasks):
            task.cancel()
        await asyncio.gather(self.over, *self._tasks, return_exceptions=True)

    async def _receive(self) -> str:
        while True:
            await self._bell.wait()
            self._bell.clear()
            over = self._socket.over.done()
            frames = self._socket.take()
            if frames:
                self._note(frames)
                self._sink.received(frames)
                await self._room()
            if over:
                self._changed.set()
                return self._socket.over.result()

    async def _room(self) -> None:
        since, self.blocked = self._clock(), True
        await self._sink.room()
        self.blocked = False
        # What we did not read for want of room is no silence of the venue's.
        waited = self._clock() - since
        self.quiet_since += waited
        self._socket.last_bytes += waited
        if self.last_data is not None:
            self.last_data += waited

    async def _send(self) -> None:
        while True:
            wish = await self._outbox.get()
            self._asked.append(wish)
            try:
                await self._socket.send(wish.text)
            except TransientError:
                return
            self.quiet_since = self._clock()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._venue.heartbeat.interval)
            try:
                await self._socket.send(self._venue.heartbeat.payload)
            except TransientError:
                return

    def _note(self, frames: list[bytes]) -> None:
        kinds = {frame[:_ALIKE] for frame in frames}
        if not kinds <= self._kinds:
            for frame in frames:
                if frame[:_ALIKE] not in self._kinds:
                    self._read(frame)
        if not kinds.isdisjoint(self._kinds):
            self.last_data = self._clock()
            self._changed.set()

    def _read(self, frame: bytes) -> None:
        try:
            messages = self._venue.parse(frame, 0)
        except MalformedFrame:
            return
        for message in messages:
            self._heed(message)
        if messages and all(isinstance(message, Trade | Quote | Kline) for message in messages):
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()
            self._kinds.add(frame[:_ALIKE])

    def _heed(self, message: Message) -> None:
        if isinstance(message, Shutdown) and not self.announced.done():
            self.announced.set_result(None)
        elif isinstance(message, Ack | ErrorReply) and self._asked:
            # Venues answer in the order of the messages; their numbers begin anew with every call for messages.
            wish = self._asked.popleft()
            self._changed.set()
            if isinstance(message, ErrorReply):
                self._refused(self, wish, f"{message.code}: {' '.join(message.message[:160].split())}")
