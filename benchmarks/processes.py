"""What processes use: memory and processor time, as the kernel counts them (Linux)."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Usage:
    """Hold what a process, or several together, used: ``rss`` and ``anonymous`` memory in MiB, ``cpu`` in seconds.

    Of several, memory that they share counts once.
    """

    rss: float
    anonymous: float
    cpu: float


def usage(pid: int) -> Usage | None:
    """Give what one process uses; None where it is gone."""
    with suppress(OSError, IndexError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text()
        return Usage(_field(status, "VmRSS"), _field(status, "RssAnon"), spent(pid))
    return None


def usage_together(pids: Sequence[int]) -> Usage | None:
    """Give what processes that share memory use together; None where all are gone."""
    found = []
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            rolled = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found.append(Usage(_field(rolled, "Pss"), _field(rolled, "Pss_Anon"), spent(pid)))
    if not found:
        return None
    return Usage(sum(one.rss for one in found), sum(one.anonymous for one in found), sum(one.cpu for one in found))


def spent(pid: int) -> float:
    """Give the seconds of processor time that a process has used, its ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS


def family(pid: int) -> list[int]:
    """Give a process and all that it started, and they did."""
    found = [pid]
    for one in found:
        with suppress(OSError):
            tasks = Path(f"/proc/{one}/task").glob("*/children")
            found.extend(int(child) for task in tasks for child in task.read_text().split())
    return found


def _field(text: str, name: str) -> float:
    return int(text.split(f"{name}:")[1].split()[0]) / 1024
