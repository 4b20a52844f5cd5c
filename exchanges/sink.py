"""Where a link puts what it receives."""

from typing import Protocol


class Sink(Protocol):
    """Take what a link brings. All but `doubtful` and `room` return at once; an error of theirs ends the link."""

    def connected(self, link_name: str) -> None:
        """Note that a connection is open; its frames follow."""
        ...

    def resubscribed(self, link_name: str) -> None:
        """Note that another connection has taken over, with no hole in between."""
        ...

    def lost(self, link_name: str, cause: str) -> None:
        """Note that the connection is lost; all its frames came before."""
        ...

    def received(self, frames: list[bytes]) -> None:
        """Take everything that has arrived, in the order of each connection."""
        ...

    def refused(self, link_name: str, streams: tuple[str, ...], words: str) -> None:
        """Note that the venue did not take in streams that were added later; the link has forgotten them."""
        ...

    async def doubtful(self, streams: tuple[str, ...]) -> bool:
        """Say whether silence on these streams is a fault: True to connect anew, False to go on waiting."""
        ...

    async def room(self) -> None:
        """Return when more may be received; nothing is read before."""
        ...
