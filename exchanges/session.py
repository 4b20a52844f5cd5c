"""One websocket with subscriptions on it: what it was asked, what it answered, when it last brought data."""

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog
from msgspec.structs import replace

from core.errors import MalformedFrame, TransientError
from exchanges.allowance import Allowance
from exchanges.asked import Asked, Method, Verdict, Wish, halves, wishes
from exchanges.carrier import Carrier
from exchanges.messages import Ack, ErrorReply, Kline, MarkPrice, Message, Ping, Quote, Shutdown, Trade
from exchanges.sink import Sink
from exchanges.venue import Venue

SETTLE_SECONDS = 1.0
"""Where a venue answers nothing but refusals, a message without one for so long is accepted."""

PATIENCE_SECONDS = 2.0
"""Where a venue answers stream by stream, the next answer comes within this, or is asked for again."""

_KINDS = 4096

_log = structlog.get_logger(__name__)


class Session:
    """Hold one open connection, subscribe it and hand on what arrives, from its construction on.

    ``bell`` is set whenever the socket has messages. Times are the loop's: ``last_data`` is when the latest trade,
    quote, kline or mark price came (None: never), ``quiet_since`` when to begin to wait for one. ``announced`` is
    done when the venue has said that it will close the connection. ``over`` ends, with the cause, after the last
    frame was handed on. ``refused`` is called with streams that the venue refused, and its words; ``wanted`` gives
    the streams that are still wanted. A refusal that passes ends it, with the cause ``refused: …``: everything is to
    be asked for again, later; unless ``patient`` is False, where it refuses streams as any other does.
    """

    def __init__(
        self,
        venue: Venue,
        socket: Carrier,
        bell: asyncio.Event,
        sink: Sink,
        refused: Callable[[tuple[str, ...], str], None],
        wanted: Callable[[], Collection[str]],
        patient: bool = True,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.announced: asyncio.Future[None] = loop.create_future()
        self.opened_at = self.quiet_since = loop.time()
        self.last_data: float | None = None
        self.blocked = False
        self._clock = loop.time
        self._venue, self._subscribing = venue, venue.subscribing
        self._socket, self._bell, self._sink = socket, bell, sink
        self._refused, self._wanted, self._patient = refused, wanted, patient
        self._changed, self._answered = asyncio.Event(), asyncio.Event()
        self._outbox: asyncio.Queue[Wish] = asyncio.Queue()
        self._sending = False
        self._asked = Asked(whole=not venue.subscribing.acknowledged)
        self._held: dict[str, None] = {}
        self._kinds: set[bytes] = set()
        self.ask("SUBSCRIBE", tuple(wanted()))
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
    def sending(self) -> bool:
        """Say whether there are messages that are not sent yet."""
        return self._outbox.qsize() > 0 or self._sending

    @property
    def asking(self) -> bool:
        """Say whether there are messages that are not sent yet, or not answered though answers come."""
        return self.sending or (self._subscribing.acknowledged and bool(self._asked))

    def ask(self, method: Method, streams: Sequence[str]) -> None:
        """Ask for streams, or for their end, after what waits to be asked."""
        for wish in wishes(self._venue, method, streams):
            self._outbox.put_nowait(wish)

    def ask_anew(self, stream: str) -> None:
        """Take a stream out and in again."""
        if self._subscribing.replaces:
            self._outbox.put_nowait(Wish("SUBSCRIBE", ()))
            return
        self.ask("UNSUBSCRIBE", (stream,))
        self.ask("SUBSCRIBE", (stream,))

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
        share = _share(self._venue)
        try:
            for text in self._subscribing.opening:
                await self._socket.send(text)
            while True:
                wish = await self._next()
                self._sending = True
                for text in self._texts(wish):
                    while (pause := share.wait(1, self._clock())) > 0:
                        await asyncio.sleep(pause)
                    share.take(1, self._clock())
                    await self._socket.send(text)
                    self._asked.sent(wish)
                    self.quiet_since = self._clock()
                self._sending = False
                self._changed.set()
                if self._subscribing.replaces or not self._subscribing.acknowledged:
                    await self._settled()
        except TransientError:
            return

    async def _next(self) -> Wish:
        """Wait for the next wish, and give up meanwhile what was answered in part."""
        while True:
            try:
                return await asyncio.wait_for(self._outbox.get(), PATIENCE_SECONDS)
            except TimeoutError:
                for verdict in self._asked.overdue(self._clock() - PATIENCE_SECONDS):
                    self._heed_verdict(verdict)

    def _texts(self, wish: Wish) -> tuple[str, ...]:
        if not self._subscribing.replaces:
            return self._venue.requests(wish.method, wish.streams)
        if wish.method == "SUBSCRIBE":
            self._held.update(dict.fromkeys(wish.streams))
        else:
            self._release(wish.streams)
        if not self._held:
            self.fail("stopped: the last stream was taken out")
            return ()
        return self._venue.requests("SUBSCRIBE", tuple(self._held))

    async def _settled(self) -> None:
        """Wait for the message's refusal: sent too early, the next one could not be told from it."""
        self._answered.clear()
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._asked:
                    await self._answered.wait()
                    self._answered.clear()
        except TimeoutError:
            self._asked.forget()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._venue.heartbeat.interval)
            try:
                await self._socket.send(self._venue.heartbeat.payload)
            except TransientError:
                return

    def _note(self, frames: list[bytes]) -> None:
        size = self._subscribing.kind_bytes
        kinds = {frame[:size] for frame in frames}
        if not kinds <= self._kinds:
            for frame in frames:
                if frame[:size] not in self._kinds:
                    self._read(frame, size)
        if not kinds.isdisjoint(self._kinds):
            self.last_data = self._clock()
            self._changed.set()

    def _read(self, frame: bytes, size: int) -> None:
        try:
            messages = self._venue.parse(frame, 0)
        except MalformedFrame:
            return
        for message in messages:
            self._heed(message)
        if messages and all(isinstance(message, Trade | Quote | Kline | MarkPrice) for message in messages):
            if len(self._kinds) >= _KINDS:
                self._kinds.clear()
            self._kinds.add(frame[:size])

    def _heed(self, message: Message) -> None:
        if isinstance(message, Ping):
            self._socket.answer(message.reply)
        elif isinstance(message, Shutdown) and not self.announced.done():
            self.announced.set_result(None)
        elif isinstance(message, Ack | ErrorReply):
            if isinstance(message, ErrorReply) and not self._patient:
                message = replace(message, passing=False)
            verdicts = self._asked.answered(message, self._clock())
            if verdicts is None and isinstance(message, ErrorReply):
                self.fail(f"refused: {message.code}: {' '.join(message.message[:160].split())}")
            for verdict in verdicts or ():
                self._heed_verdict(verdict)
            self._changed.set()
            self._answered.set()

    def _heed_verdict(self, verdict: Verdict) -> None:
        if verdict.refused:
            self._refused(verdict.refused, verdict.words)
        wanted = self._wanted()
        again = tuple(stream for stream in verdict.again if stream in wanted)
        if again:
            _log.warning("asked_again_in_parts", venue=self._venue.name, streams=len(again), words=verdict.words)
        for part in halves(again) if len(again) > 1 else [again]:
            self.ask("SUBSCRIBE", part)
        if self._subscribing.replaces and (verdict.refused or verdict.again):
            self._release((*verdict.refused, *verdict.again))
            if not again and self._held and self._outbox.empty():
                # Nobody knows what is in force after a refused message.
                self._outbox.put_nowait(Wish("SUBSCRIBE", ()))

    def _release(self, streams: Sequence[str]) -> None:
        for stream in streams:
            self._held.pop(stream, None)


def _share(venue: Venue) -> Allowance:
    """Give what of the limit is for subscriptions: a heartbeat of ours may not have to wait for them."""
    limits, beats = venue.limits, 0
    if venue.heartbeat.by == "client":
        beats = min(limits.messages - 1, int(limits.messages_per / venue.heartbeat.interval) + 1)
    return Allowance(limits.messages - beats, limits.messages_per)
