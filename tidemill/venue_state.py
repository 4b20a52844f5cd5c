"""How it stands with the exchanges: whose clock is where, and who wants nothing at present."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import TransientError
from exchanges.budgets import breakers
from tidemill.liveness import Component

_OFFSET = " clock_offset_seconds"
_UNCERTAINTY = " clock_offset_uncertainty_seconds"
_SECOND = 1_000_000


def clocks(shown: Iterable[Component]) -> list[dict[str, Any]]:
    """Give for each feed the venue's clock less the machine's, and how well that is known; ms."""
    figures = next((one.figures for one in shown if one.name == "recorder"), {})
    return [
        {
            "feed": name.removesuffix(_OFFSET),
            "venue_ahead_ms": round(offset * 1000, 1),
            "give_or_take_ms": round(uncertain * 1000, 1),
        }
        for name, offset in sorted(figures.items())
        if name.endswith(_OFFSET)
        and isinstance(offset, int | float)
        and isinstance(uncertain := figures.get(name.removesuffix(_OFFSET) + _UNCERTAINTY, 0.0), int | float)
    ]


def hosts(limits: Path) -> list[dict[str, Any]]:
    """Give the breaker of each host that was ever asked; ``until`` is when it lets the next request try."""
    try:
        found = breakers(limits)
    except TransientError as error:
        return [{"host": None, "state": "unknown", "until": None, "failures": None, "why": str(error)}]
    return [
        {
            "host": one.host,
            "state": one.state,
            "until": None if one.until is None else datetime.fromtimestamp(one.until // _SECOND, UTC),
            "failures": one.failures,
            "why": one.why,
        }
        for one in found
    ]
