"""Run files: how the components of a data folder say who and where they are while they run."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from storage.data_folder import DataFolder


class RunFile(msgspec.Struct, frozen=True):
    """Say which process a component is; ``port`` is its endpoint's, ``started`` µs since the epoch (UTC)."""

    component: str
    pid: int
    port: int
    started: int


@contextmanager
def announced(folder: DataFolder, component: str, port: int) -> Iterator[RunFile]:
    """Keep the run file of this process while the block runs.

    A block that fails, or a process that is killed, leaves the file: it then names a process that is gone.
    """
    mine = RunFile(component, os.getpid(), port, time.time_ns() // 1_000)
    path = _path(folder, component)
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f"{path.name}.{mine.pid}")
    part.write_bytes(msgspec.json.encode(mine))
    part.replace(path)
    yield mine
    if read(folder, component) == mine:
        path.unlink(missing_ok=True)


def read(folder: DataFolder, component: str) -> RunFile | None:
    """Give what the run file of a component says; None where there is none, or none that can be read."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(_path(folder, component).read_bytes(), type=RunFile)
    return None


def _path(folder: DataFolder, component: str) -> Path:
    return folder.run / f"{component}.json"
