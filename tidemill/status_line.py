"""One line that says how a long command fares: redrawn on a terminal, now and then a line elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidemill.tables import text

BETWEEN_LINES = 10.0
"""Seconds between two lines where no person watches."""

_CLEAR = "\r\x1b[2K"


@contextmanager
def status_line() -> Iterator[Callable[[str], None]]:
    """Give what shows the line on stderr for as long as the block runs; afterwards a terminal is left clean."""
    if not sys.stderr.isatty():
        yield _lines()
        return

    def redraw(line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        shown = text(line)
        sys.stderr.write(_CLEAR + (shown if len(shown) <= width else shown[: width - 1] + "…"))
        sys.stderr.flush()

    try:
        yield redraw
    finally:
        sys.stderr.write(_CLEAR)
        sys.stderr.flush()


def _lines() -> Callable[[str], None]:
    last = time.monotonic()

    def show(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= BETWEEN_LINES:
            last = now
            sys.stderr.write(text(line) + "\n")
            sys.stderr.flush()

    return show
