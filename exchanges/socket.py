"""The thin skin around one websocket: bytes in, whole messages out; it neither waits nor retries.

The protocol is websockets' (its part without I/O). The plain case, one unfragmented frame after another, is cut
here: a frame through the library's parser costs ten times as much.
"""

import asyncio
from collections.abc import Callable

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import WebSocketURI

from core.errors import TransientError
from exchanges.allowance import Allowance
from exchanges.handshake import HandshakeRefused, refusal
from exchanges.venue import Limits

MAX_MESSAGE = 16 * 1024 * 1024
"""Bytes of one message; a longer one closes the connection with code 1009."""

_MAX_HEAD = 64 * 1024
_HIGH_WATER = 1024 * 1024
_LINGER = 2.0
_MARGIN = 1.1
"""We count what we send when it leaves, the venue when it arrives: a window of ours is this much longer."""


class Socket(asyncio.Protocol):
    """Hold one websocket connection; `exchanges.dial.connect` makes it.

    ``arrived`` is called when messages wait to be taken; above 1 MiB of them nothing more is read. ``over`` is
    done, with the cause, once no further message can arrive; ``gone`` when the transport is closed.
    ``last_bytes`` is when anything came, by the loop's clock.
    """

    def __init__(self, uri: WebSocketURI, limits: Limits, arrived: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[TransientError | None] = loop.create_future()
        self.over: asyncio.Future[str] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self.last_bytes = loop.time()
        self._loop = loop
        self._protocol = ClientProtocol(uri, max_size=MAX_MESSAGE)
        self._allowance = Allowance(limits.messages, limits.messages_per * _MARGIN)
        self._arrived = arrived
        self._transport: asyncio.Transport | None = None
        self._tail = bytearray()
        self._needed = 0
        self._messages: list[bytes] = []
        self._waiting = 0
        self._paused = False
        self._fragments: list[bytes] = []
        self._pong: bytes | None = None
        self._answers: list[str] = []

    def take(self) -> list[bytes]:
        """Give all messages that have arrived, in order, and read on."""
        messages, self._messages, self._waiting = self._messages, [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return messages

    async def send(self, text: str | None) -> None:
        """Send a text, or a ping frame for None, as soon as the venue's limit allows.

        Raises `TransientError` where the connection is over.
        """
        while (pause := self._pause()) > 0:
            await asyncio.sleep(pause)
        if self.over.done() or self._protocol.state is not State.OPEN:
            raise TransientError("the connection is over")
        self._allowance.take(1, self._loop.time())
        if text is None:
            self._protocol.send_ping(b"")
        else:
            self._protocol.send_text(text.encode())
        self._flush()

    def answer(self, text: str) -> None:
        """Send a text before all others, as soon as the venue's limit allows; once, where it already waits."""
        if text not in self._answers:
            self._answers.append(text)
            self._hurry()

    async def close(self, patience: float = _LINGER) -> None:
        """Say goodbye, let arrive what is still on its way for up to ``patience`` seconds, and end it."""
        if not self.over.done() and self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()
            await asyncio.wait({self.over}, timeout=patience)
        self.fail("closed by us")
        await asyncio.wait({self.gone}, timeout=_LINGER)
        if self._transport is not None and not self.gone.done():
            self._transport.abort()
            await asyncio.wait({self.gone}, timeout=_LINGER)

    def fail(self, cause: str) -> None:
        """End it at once; nothing happens where it is over."""
        if self.over.done():
            return
        self.over.set_result(cause)
        if not self.opened.done():
            self.opened.set_result(TransientError(cause))
        self._arrived()
        if self._transport is not None:
            self._transport.close()
            # A peer that does not read would keep what is to be flushed for ever.
            self._loop.call_later(_LINGER, self._transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a websocket."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio promises for TCP
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Cut what arrived into messages."""
        self.last_bytes = self._loop.time()
        if self.over.done():
            return
        if not self.opened.done():
            data = self._handshake(data)
        elif self._tail:
            self._tail += data
            if len(self._tail) < self._needed:
                return
            data, self._tail = bytes(self._tail), bytearray()
        if data:
            cut = self._cut(data)
            self._waiting += cut
            self._tail += data[cut:]
        if self._waiting > _HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._messages:
            self._arrived()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that it is over."""
        words = " ".join(str(exc).split())[:200] if exc else "without a goodbye (1006)"
        self.fail(f"lost_connection: {words}")
        if not self.gone.done():
            self.gone.set_result(None)

    def _handshake(self, data: bytes) -> bytes:
        self._tail += data
        end = self._tail.find(b"\r\n\r\n") + 4
        if end < 4 and len(self._tail) <= _MAX_HEAD:
            return b""
        head, rest = bytes(self._tail[:end]), bytes(self._tail[end:])
        self._tail = bytearray()
        error = refusal(head) if end >= 4 else HandshakeRefused("the answer to the handshake does not end")
        if error is None:
            self._protocol.receive_data(head)
            self._protocol.events_received()
            if self._protocol.state is State.OPEN:
                self.opened.set_result(None)
                return rest
            words = " ".join(str(self._protocol.handshake_exc).split())[:160]
            error = HandshakeRefused(f"the handshake failed: {words}")
        self.opened.set_result(error)
        self.fail(str(error))
        return b""

    def _cut(self, data: bytes) -> int:
        at, end, append = 0, len(data), self._messages.append
        while end - at >= 2:
            head, size, start = data[at], data[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(data[start : start + 2]), start + 2
            elif size == 127:
                size, start = int.from_bytes(data[start : start + 8]), start + 8
            elif size > 127:
                self._feed(data[at:])
                return end
            if start > end:
                self._needed = start - at
                return at
            stop = start + size
            if stop > end:
                if size > MAX_MESSAGE:
                    self._feed(data[at:start])
                    return end
                self._needed = stop - at
                return at
            if (head == 0x81 or head == 0x82) and not self._fragments and size <= MAX_MESSAGE:
                append(data[start:stop])
            elif head == 0x89 and size < 126:
                self._ping(data[start:stop])
            else:
                self._feed(data[at:stop])
                if self.over.done():
                    return end
            at = stop
        self._needed = 2
        return at

    def _feed(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if not isinstance(event, Frame):
                continue
            if event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._fragments.append(bytes(event.data))
                if event.fin:
                    self._messages.append(b"".join(self._fragments))
                    self._fragments = []
        self._flush()
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            words = f"{protocol.close_rcvd.code} {' '.join(protocol.close_rcvd.reason.split())}".strip()
            self.fail(f"closed_by_venue: {words}")
        elif protocol.parser_exc is not None:
            code = protocol.close_sent.code if protocol.close_sent else 1002
            self.fail(f"protocol_error: {code} {' '.join(str(protocol.parser_exc).split())[:160]}")

    def _ping(self, payload: bytes) -> None:
        # RFC 6455, 5.5.3: of several pings it is enough to answer the latest. That keeps within the limit.
        waiting, self._pong = self._pong is not None, payload
        if not waiting:
            self._loop.call_later(max(0.0, self._allowance.wait(1, self._loop.time())), self._answer)

    def _answer(self) -> None:
        payload, self._pong = self._pong, None
        if payload is None or self.over.done() or self._protocol.state not in (State.OPEN, State.CLOSING):
            return
        self._allowance.take(1, self._loop.time())
        self._protocol.send_pong(payload)
        self._flush()

    def _hurry(self) -> None:
        pause = self._pause()
        if self._answers:
            self._loop.call_later(pause, self._hurry)

    def _pause(self) -> float:
        if self.over.done() or self._protocol.state is not State.OPEN:
            self._answers.clear()
        while (pause := self._allowance.wait(1, self._loop.time())) <= 0 and self._answers:
            self._allowance.take(1, self._loop.time())
            self._protocol.send_text(self._answers.pop(0).encode())
            self._flush()
        return pause

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data and self._transport is not None and not self._transport.is_closing():
                self._transport.write(data)
