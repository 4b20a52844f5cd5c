"""Operators' commands: which instruments a feed records, changed while it runs."""

import asyncio
from collections.abc import Awaitable, Callable

from core.records import Command
from dataflows.inbox import Inbox

Act = Callable[[int, Command], Awaitable[None]]
"""Do what a command at an offset of the inbox says."""

_ACTED_ON = ("subscribe", "unsubscribe")


class Commands:
    """Follow the inbox on behalf of one feed."""

    def __init__(self, feed: str, inbox: Inbox) -> None:
        self._feed, self._inbox = feed, inbox
        self._after = -1

    def fresh(self) -> list[tuple[int, Command]]:
        """Give the offset and content of the feed's commands since the last call; of all in the first one."""
        found = self._inbox.read(self._after)
        if found:
            self._after = found[-1][0]
        return [(offset, c) for offset, c in found if c.target == self._feed and c.command in _ACTED_ON]

    def stored_before(self, moment: int) -> int:
        """Give the offset of the last command stored before a moment (µs since the epoch, UTC); -1 for none."""
        return self._inbox.stored_before(moment)

    async def run(self, act: Act) -> None:
        """Let each command be acted on as it comes, until cancelled."""
        rung = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._inbox.doorbell() as bell:
            loop.add_reader(bell.fileno(), rung.set)
            try:
                while True:
                    for offset, command in self.fresh():
                        await act(offset, command)
                    await rung.wait()
                    rung.clear()
                    bell.wait(0)
            finally:
                loop.remove_reader(bell.fileno())


def marked(offset: int, command: Command, refused: str | None = None) -> Command:
    """Give the copy of a command for the feed's journal: with ``offset``, and ``refused`` where it was."""
    values = {**command.values, "offset": str(offset)}
    return Command(command.command, command.target, values | ({"refused": refused} if refused else {}))


def taken_out(feed: str, instrument: str) -> Command:
    """Say in a feed's journal that an instrument is recorded no longer, though no command of the inbox said so."""
    return marked(-1, Command("unsubscribe", feed, {"instrument": instrument}))
