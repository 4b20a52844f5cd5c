"""The options that every command shares."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class GlobalOptions:
    """Hold what the command line said about the data folder, the settings file and the log level.

    ``debugging`` asks for tracebacks; ``redact`` takes every secret that is known so far out of a text. Both are
    set again when the settings have been read.
    """

    data: Path | None = None
    config: Path | None = None
    log: str | None = None
    debugging: bool = False
    redact: Callable[[str], str] = str
