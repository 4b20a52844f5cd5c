"""The websocket below the exchange: uvicorn's, with a way to write many frames in one buffer."""

import socket
import struct
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_EXTENSION = "tidemill.socket"
_LINGER = 0.5
"""Seconds that a client has to take what was written before the server ends."""
_RESET = struct.pack("ii", 1, 0)


class BatchingProtocol(WebSocketsSansIOProtocol):
    """Serve one websocket; an application finds it by `of` and writes whole frames past ASGI.

    ``on_control`` is called for each ping and pong of the client.
    """

    on_control: Callable[[], None] | None = None
    scope: Any

    @classmethod
    def of(cls, websocket: WebSocket) -> "BatchingProtocol":
        """Give the protocol of a websocket that this server has accepted or is about to."""
        protocol: BatchingProtocol = websocket.scope["extensions"][_EXTENSION]["protocol"]
        return protocol

    @property
    def is_open(self) -> bool:
        """Tell whether frames can be written."""
        return self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())

    def keep_alive(self, interval: float, timeout: float) -> None:
        """Ping every ``interval`` seconds, and end a client that does not answer within ``timeout``.

        To be said before the websocket is accepted.
        """
        self.ping_interval, self.ping_timeout = interval, timeout

    def write_frames(self, data: bytes, unread: int) -> bool:
        """Write whole frames at once; cut a client that left more than ``unread`` bytes before, and say False."""
        if not self.is_open:
            return True
        if self.transport.get_write_buffer_size() > unread:
            self.drop()
            return False
        self.transport.write(data)
        return True

    def end(self, code: int, reason: str) -> None:
        """Close the websocket from our side and do not wait for the answer."""
        if not self.is_open:
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.close()
        self.loop.call_later(_LINGER, self.transport.abort)

    def tear(self, data: bytes) -> None:
        """Write a part of frames and close the connection below the websocket."""
        if self.is_open:
            self.transport.write(data)
        self.transport.close()

    def drop(self) -> None:
        """Cut the connection with a reset, as a failing network does."""
        peer = self.transport.get_extra_info("socket")
        if peer is not None and not self.transport.is_closing():
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def shutdown(self) -> None:
        """End because the server does; who does not read must not hold it up."""
        super().shutdown()
        self.loop.call_later(_LINGER, self.transport.abort)

    def handle_ping(self) -> None:
        """Answer a ping and count it."""
        super().handle_ping()
        self._count()

    def handle_pong(self, event: Any) -> None:
        """Take a pong and count it."""
        super().handle_pong(event)
        self._count()

    async def run_asgi(self) -> None:
        """Let the application find its protocol."""
        self.scope["extensions"][_EXTENSION] = {"protocol": self}
        await super().run_asgi()

    def _count(self) -> None:
        if self.on_control is not None:
            self.on_control()
