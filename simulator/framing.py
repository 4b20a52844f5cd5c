"""Websocket frames of texts and bytes, as a server sends them: whole and not masked (RFC 6455, section 5.2)."""

from collections.abc import Iterable

Frame = str | bytes
"""What a websocket message holds: text, or bytes for a binary one."""

_TEXT, _BINARY = 0x81, 0x82


def encoded(frames: Iterable[Frame]) -> bytes:
    """Give messages as the bytes of frames, each in one."""
    return b"".join(map(_encoded, frames))


def _encoded(frame: Frame) -> bytes:
    first, body = (_TEXT, frame.encode()) if isinstance(frame, str) else (_BINARY, frame)
    size = len(body)
    if size < 126:
        return bytes((first, size)) + body
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + body
    return bytes((first, 127)) + size.to_bytes(8, "big") + body
