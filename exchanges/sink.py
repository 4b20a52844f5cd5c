"""Where a link puts what it receives."""

from typing import Protocol

CAUSES = frozenset(
    {"lost_connection", "closed_by_venue", "protocol_error", "silence", "refused", "reconnect", "stopped"}
)
"""With which words the causes of losses begin; details follow after a colon."""


class Sink(Protocol):
    """Take what a link brings. All but `doubtful` and `room` return at once; an error of theirs ends the link.

    ``streams`` are those that the connection carries at that moment, unless said otherwise.
    """

    def connected(self, link_name: str, streams: tuple[str, ...]) -> None:
        """Note that a connection is open; its frames follow."""
        ...

    def resubscribed(self, link_name: str, streams: tuple[str, ...]) -> None:
        """Note that another connection has taken over, with no hole in between."""
        ...

    def lost(self, link_name: str, cause: str, streams: tuple[str, ...]) -> None:
        """Note that the connection is lost; all its frames came before. ``cause`` begins with one of `CAUSES`."""
        ...

    def interrupted(self, link_name: str, cause: str, streams: tuple[str, ...]) -> None:
        """Note that these streams, of a connection that is up, had stopped and are subscribed anew."""
        ...

    def received(self, frames: list[bytes]) -> None:
        """Take everything that has arrived, in the order of each connection."""
        ...

    def refused(self, link_name: str, streams: tuple[str, ...], words: str) -> None:
        """Note that the venue does not take in these streams, or no longer has them; the link has forgotten them."""
        ...

    def silent(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        """Give which of these streams are followed and brought nothing since this was asked last of them.

        Those that were lively until lately come first. A stream that is asked of for the first time is not silent.
        """
        ...

    async def doubtful(self, streams: tuple[str, ...]) -> bool:
        """Say whether silence on these streams is a fault: True to connect anew, False to go on waiting."""
        ...

    async def room(self) -> None:
        """Return when more may be received; nothing is read before."""
        ...
