"""When the next attempt to connect may be made."""

import asyncio
import random
from collections.abc import Callable

import structlog

from core.errors import TransientError
from exchanges.breaker import BANS
from exchanges.budgets import Budgets, Wish
from exchanges.handshake import HandshakeRefused
from exchanges.venue import Limits

_log = structlog.get_logger(__name__)

_MARGIN = 1.05
"""We count when an attempt begins, the venue when it arrives: a window of ours is this much longer."""

_LOOK_SECONDS = 1.0
"""A breaker may close earlier than it said: another process may have been let through."""


class Attempts:
    """Share a host's budget of attempts to connect, with a capped back-off of full jitter.

    All links to one address take the same one. ``host`` is what stands between ``//`` and ``/`` of the address; all
    that connect to it from this machine give the same ``budgets``, and without any these have their own. ``base`` and
    ``cap`` are seconds; ``draw`` gives a number between its two arguments.
    """

    def __init__(
        self,
        limits: Limits,
        host: str = "",
        *,
        budgets: Budgets | None = None,
        base: float = 0.5,
        cap: float = 30.0,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._wish = Wish("connect", 1, limits.attempts, limits.attempts_per * _MARGIN)
        self._host, self._budgets = host, budgets or Budgets()
        self._base = base
        self._cap = cap
        self._draw = draw
        self._turn = asyncio.Lock()
        self._trial = False
        self._telling: set[asyncio.Task[None]] = set()

    def delay(self, failures: int) -> float:
        """Draw the seconds to wait after so many failures in a row: between 0 and base · 2^(failures - 1), capped."""
        if failures < 1:
            return 0.0
        return self._draw(0.0, min(self._cap, self._base * 2.0 ** min(failures - 1, 60)))

    async def permission(self, failures: int) -> None:
        """Wait until an attempt may be made after so many failures in a row, and count it.

        How it ended is to be told to `succeeded` or `failed`.
        """
        await asyncio.sleep(self.delay(failures))
        async with self._turn:
            await asyncio.gather(*self._telling)
            while (pause := await self._pause()) > 0:
                await asyncio.sleep(pause)

    def succeeded(self) -> None:
        """Note that an attempt led to a websocket."""
        if self._trial:
            self._trial = False
            self._tell(lambda: self._budgets.succeeded(self._host, trial=True))

    def failed(self, error: TransientError) -> None:
        """Note that an attempt did not; where the venue has said that it wants none, nobody tries for so long."""
        trial, self._trial = self._trial, False
        if isinstance(error, HandshakeRefused) and (error.status in BANS or error.retry_after is not None):
            refused = error
            self._tell(
                lambda: self._budgets.banned(
                    self._host, refused.status, refused.retry_after, str(refused), trial=trial
                )
            )
        elif trial:
            self._tell(lambda: self._budgets.failed(self._host, str(error), trial=True))

    async def _pause(self) -> float:
        try:
            admission = await asyncio.to_thread(self._budgets.admit, self._host, self._wish)
        except TransientError as error:
            _log.warning("no_attempt_to_connect", host=self._host, why=str(error))
            return _LOOK_SECONDS
        self._trial = self._trial or admission.trial
        return min(admission.wait, _LOOK_SECONDS) if admission.held else admission.wait

    def _tell(self, work: Callable[[], object]) -> None:
        task = asyncio.create_task(self._told(work))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _told(self, work: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(work)
        except TransientError as error:
            _log.warning("attempt_not_noted", host=self._host, why=str(error))
