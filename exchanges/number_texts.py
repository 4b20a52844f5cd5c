"""Whole numbers, times and steps that a venue writes as JSON strings; prices and sizes are `exchanges.bounds`'s."""

import re
from decimal import Decimal

from core.errors import MalformedFrame
from exchanges import bounds

_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")


def whole(text: str, what: str) -> int:
    """Read a whole number, 0 included, of at most 19 digits; raise `MalformedFrame` for anything else.

    Example:
        >>> whole("1630048897897", "trade time")
        1630048897897
    """
    if _WHOLE.fullmatch(text) is None:
        raise MalformedFrame(f"{what} {text[: bounds.MAX_TEXT]!r} is not a whole number")
    return int(text)


def micros(text: str, what: str) -> int:
    """Read a time in ms or µs as µs since the epoch, UTC; raise `MalformedFrame` as `exchanges.bounds.micros`."""
    return bounds.micros(whole(text, what), what)


def step(text: str, what: str) -> Decimal | None:
    """Read the step of a price or a size; None for 0 or no text: the venue tells none."""
    if not text:
        return None
    mantissa, decimals = bounds.total(text, what)
    return Decimal(mantissa).scaleb(-decimals) if mantissa else None
