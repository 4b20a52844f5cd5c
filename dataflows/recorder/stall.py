"""Why a recorder cannot write."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stall:
    """Say why nothing can be written: ``cause`` for marks and metrics, ``why`` for people."""

    cause: str
    why: str
