"""What a server answers to the wish for a websocket."""

import re

from core.errors import TransientError
from exchanges.retry_after import retry_after

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r]")
_RETRY_AFTER = re.compile(rb"\r\nretry-after:[ \t]*([^\r\n]{0,64})", re.IGNORECASE)


class HandshakeRefused(TransientError):  # noqa: N818 - what happened
    """Report a server that answered, but not with a websocket.

    ``status`` is that of its HTTP answer, 0 where it is none; ``retry_after`` how many seconds it wants to be left
    alone, None where it does not say.
    """

    def __init__(self, cause: str, status: int = 0, seconds: float | None = None) -> None:
        super().__init__(cause)
        self.status, self.retry_after = status, seconds


def refusal(head: bytes) -> HandshakeRefused | None:
    """Read the head of an HTTP answer; None where it switches protocols, which is still to be checked."""
    match = _STATUS.match(head)
    if match is None:
        return HandshakeRefused("the answer to the handshake is no HTTP")
    status, said = int(match[1]), _RETRY_AFTER.search(head)
    if status == 101:
        return None
    seconds = retry_after(said[1].decode("latin-1")) if said else None
    return HandshakeRefused(f"the handshake was answered with HTTP {status}", status, seconds)
