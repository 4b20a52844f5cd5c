"""Operators' commands: which instruments a feed records, changed while it runs."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from core.records import Command
from dataflows.inbox import INBOX, Inbox
from storage.data_folder import DataFolder
from storage.journal import Journal

Act = Callable[[int, Command], Awaitable[None]]
"""Do what a command at an offset of the inbox says."""

_BLOCK_RECORDS = 1024
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


def stored_before(folder: DataFolder, moment: int) -> int:
    """Give the offset of the last command that was stored before a moment (µs since the epoch, UTC); -1 for none."""
    last = after = -1
    with Journal(folder.commands) as journal:
        while (block := journal.read(INBOX, after, _BLOCK_RECORDS)) is not None:
            earlier = np.flatnonzero(block.received < moment)
            last, after = (block.first_offset + int(earlier[-1]) if len(earlier) else last), block.last_offset
    return last
