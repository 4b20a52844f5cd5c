"""What a person watches while a command works: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_BETWEEN_LINES = 5.0


class Report(Protocol):
    """Take notice of how far the work has got."""

    def __call__(self, done: int, total: int, text: str) -> None:
        """Show ``done`` of ``total`` and what is going on."""


@contextmanager
def progress() -> Iterator[Report]:
    """Show progress on stderr for as long as the block runs."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total or None, description=text)

        yield report


def _lines() -> Report:
    last = time.monotonic()

    def report(done: int, total: int, text: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _BETWEEN_LINES:
            last = now
            share = f"{done / total:.0%}, " if total else ""
            sys.stderr.write(f"{share}{text}\n")

    return report
