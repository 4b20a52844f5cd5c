"""The lifeline: a pipe from the supervisor to each of its children.

The first line in it is the settings, secrets included: they are in no file, argument or environment of the child.
After that the pipe stays open and silent. When the supervisor is gone, however it ended, the kernel closes its
end; the child reads that and stops itself. This works alike on Linux and macOS.
"""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from core.errors import UserError
from core.settings import Settings

GRACE_SECONDS = 5.0
"""What a child may take to stop after the supervisor is gone, before it ends at once."""


def settings_line(settings: Settings) -> bytes:
    """Write settings as the line that `receive` reads. It holds the secrets: it belongs in a pipe only."""
    return msgspec.json.encode(settings.model_dump(), enc_hook=_plain) + b"\n"


def receive(lifeline: int) -> Settings:
    """Read the settings from a lifeline, and stop this process when the supervisor is gone.

    Raise `UserError` where the descriptor is no lifeline of a supervisor that lives.
    """
    try:
        os.set_inheritable(lifeline, False)
        line = bytearray()
        while not line.endswith(b"\n"):
            piece = os.read(lifeline, 65_536)
            if not piece:
                raise UserError("the supervisor went away before it had told the settings")
            line += piece
    except OSError as error:
        raise UserError(f"--lifeline {lifeline} is no pipe of a supervisor: {error.strerror}") from None
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()
    return Settings(**msgspec.json.decode(bytes(line)))


def _watch(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a setting of type {type(value).__name__} cannot be told to a component")
