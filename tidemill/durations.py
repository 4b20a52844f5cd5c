"""Durations as people write them."""

import re

from core.errors import UserError

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([smh])")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str, option: str) -> float:
    """Read a duration such as 60s, 5m or 1.5h as seconds; raise `UserError` naming the ``option`` for anything else.

    Example:
        >>> seconds("1.5h", "--for")
        5400.0
    """
    found = _DURATION.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise UserError(f"{option} {text[:40]!r} is no duration: write 90s, 5m or 2h")
    return float(found[1]) * _SECONDS[found[2]]
