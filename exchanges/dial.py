"""Opening a websocket."""

import asyncio
import functools
import ipaddress
import ssl
from collections.abc import Callable

from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from core.errors import TransientError, UserError
from exchanges.socket import Socket
from exchanges.venue import Limits


async def connect(url: str, limits: Limits, arrived: Callable[[], None], timeout: float) -> Socket:
    """Open a websocket within ``timeout`` seconds.

    Raises `TransientError` where that fails, `exchanges.handshake.HandshakeRefused` among them; `UserError` for an
    address that is none.
    """
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError):
        raise UserError(f"{url[:120]!r} is no websocket address: write ws:// or wss://") from None
    socket, connected = Socket(uri, limits, arrived), False
    tls = _tls() if uri.secure else None
    try:
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            await loop.create_connection(
                lambda: socket, uri.host, uri.port, ssl=tls, happy_eyeballs_delay=_head_start(uri.host)
            )
            error = await socket.opened
        connected = error is None
    except TimeoutError:
        raise TransientError(f"no connection within {timeout:g} s") from None
    except (OSError, UnicodeError) as failure:
        raise TransientError(" ".join(str(failure).split())[:200] or type(failure).__name__) from None
    finally:
        # Also where we were cancelled just as the connection had come about.
        if not connected:
            socket.fail("not connected")
    if error is not None:
        raise error
    return socket


def _head_start(host: str) -> float | None:
    # Among several addresses a dead one costs no more than this. A single one is not raced: cancelling a race
    # leaves its socket to the garbage collector.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return 0.25
    return None


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
