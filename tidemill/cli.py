"""The program's entry: a signal that comes while its modules still load ends it without a word.

Loading the command line takes some tenths of a second, and nothing that would have to be undone is begun in them.
Until `main` has said what a signal means, Python answers one with a traceback; so this module loads nothing first.
"""

import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143


def main() -> NoReturn:
    """Run the command line of this process and exit: 0 done, 1 failed, 2 usage, 130 Ctrl-C, 143 SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # An ignored signal (`nohup`) stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave)
    from tidemill.command_line import main as begun

    begun()


def run(argv: Sequence[str]) -> int:
    """Run one command line and give its exit code; every failure is one line on stderr."""
    from tidemill.command_line import run as begun

    return begun(argv)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)
