"""Room on the disk of the data folder: what grows stops before what must be written has none left."""

import os
from pathlib import Path

from core.errors import TransientError

RESERVED_BYTES = 32 * 1024 * 1024
"""Kept for the ledger, the recovery store and the last commit: none of them can wait for room."""


def free_bytes(path: Path) -> int:
    """Give how many bytes may still be written to the disk of a folder."""
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize


def refuse_full_disk(path: Path, wanted: int = 0) -> None:
    """Raise `TransientError` where ``wanted`` bytes would not leave `RESERVED_BYTES` on the disk of a folder."""
    if free_bytes(path) < wanted + RESERVED_BYTES:
        raise full(path)


def full(path: Path) -> TransientError:
    """Give the error that says that the disk of a folder is full, and what to do."""
    left = free_bytes(path) >> 20
    return TransientError(
        f"the disk of the data folder {path} is full ({left} MiB left, "
        f"{RESERVED_BYTES >> 20} MiB are kept in reserve): free some space and run the command again; "
        "what is stored is whole"
    )
