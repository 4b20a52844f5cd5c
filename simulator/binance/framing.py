"""Websocket frames as text whose letters are bytes (latin-1), so that many are joined and encoded in one go.

Source: RFC 6455, section 5.2; frames from a server are not masked.
"""

_FIN_TEXT = "\x81"


def _header(size: int) -> str:
    if size < 126:
        return _FIN_TEXT + chr(size)
    if size < 65_536:
        return _FIN_TEXT + "~" + size.to_bytes(2, "big").decode("latin-1")
    return _FIN_TEXT + "\x7f" + size.to_bytes(8, "big").decode("latin-1")


_HEADERS = [_header(size) for size in range(1024)]


def framed(body: str) -> str:
    """Give a text frame of a body of ASCII letters."""
    size = len(body)
    return (_HEADERS[size] if size < 1024 else _header(size)) + body


def unframed(frame: str) -> str:
    """Give the body of a frame."""
    size = ord(frame[1])
    return frame[2 if size < 126 else 4 if size == 126 else 10 :]


def wrapped(stream: str) -> tuple[str, str]:
    """Give what stands before and after the data of a combined stream."""
    return f'{{"stream":"{stream}","data":', "}"


def encode(frames: str) -> bytes:
    """Give the bytes of frames."""
    return frames.encode("latin-1")
