"""One row of the table that `make bench` prints."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one measurement beside its goal and the baseline of the same run."""

    work: str
    measured: str
    goal: str
    baseline: str
    met: bool | None
