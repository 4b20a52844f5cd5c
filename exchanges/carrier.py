"""What a session needs of whatever carries its messages: a websocket of ours, or a library's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias


class Carrier(Protocol):
    """Carry whole messages both ways.

    ``over`` is done, with the cause, once no further message can arrive; ``last_bytes`` is when anything came, by
    the loop's clock.
    """

    over: "asyncio.Future[str]"
    last_bytes: float

    def take(self) -> list[bytes]:
        """Give all messages that have arrived, in order, and read on."""
        ...

    async def send(self, text: str | None) -> None:
        """Send a text, a ping for None; raise `TransientError` where the connection is over."""
        ...

    def answer(self, text: str) -> None:
        """Send the answer to a message, before what waits to be sent."""
        ...

    def fail(self, cause: str) -> None:
        """End it at once."""
        ...

    async def close(self, patience: float) -> None:
        """Say goodbye and end it within ``patience`` seconds."""
        ...


Dial: TypeAlias = Callable[[str, tuple[str, ...], Callable[[], None], float], Awaitable[Carrier]]
"""Open a connection: its address, the streams that it is for, what to call when messages wait, and within how many
seconds. Raises as `exchanges.dial.connect`."""
