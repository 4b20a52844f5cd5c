"""How far one request for candles may reach, at venues that give the last ones of a stretch that holds too many."""

from core.timeframes import Timeframe


def window_end(length: Timeframe, start: int, end: int, rows: int) -> int:
    """Give the latest time up to ``end`` such that at most ``rows`` candles begin in between; all µs, UTC.

    Example:
        >>> from core.timeframes import timeframe
        >>> window_end(timeframe("1m"), 60_000_000, 6_000_000_000, 2)
        180000000
    """
    at = length.floor(start)
    at = at if at == start else length.end(at)
    if length.micros:
        return min(end, at + rows * length.micros)
    for _ in range(rows):
        if at >= end:
            break
        at = length.end(at)
    return min(end, at)
