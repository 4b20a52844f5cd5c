"""Times that a venue writes as text: ``2014-11-07T08:19:27.028459Z``."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeAlias

from msgspec import Meta

from exchanges import bounds

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""What a struct declares: text without a zone, or that is no time, is refused, and digits beyond µs are rounded."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime, what: str = "time") -> int:
    """Give a time as µs since the epoch, UTC; raise `MalformedFrame` outside 2009 to 2100."""
    found = (moment - _EPOCH) // _MICROSECOND
    # As ms, which no year that can be written makes look like µs.
    return bounds.micros(found // 1000, what) + found % 1000


def text(ts: int) -> str:
    """Write a time (µs since the epoch, UTC) to the second, rounded down.

    Example:
        >>> text(1_415_348_367_028_459)
        '2014-11-07T08:19:27Z'
    """
    return datetime.fromtimestamp(ts // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
