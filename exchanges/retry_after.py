"""The header by which a server says when to come back."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 3 * 86_400.0
"""Seconds; the longest ban of a venue that is documented is three days (Binance)."""


def retry_after(value: str | None) -> float | None:
    """Give the seconds that ``Retry-After`` says, between 1 and `LONGEST`; None for none and for nonsense.

    Source: RFC 9110, section 10.2.3: seconds, or a date.
    """
    seconds = _seconds((value or "").strip()[:64])
    return None if seconds is None else min(max(seconds, 1.0), LONGEST)


def _seconds(text: str) -> float | None:
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
