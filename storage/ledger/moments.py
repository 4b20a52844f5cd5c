"""Moments between Tidemill's int64 microseconds and PostgreSQL's timestamptz, exactly."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """Give the moment that is ``micros`` after the epoch (UTC); `OverflowError` beyond the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)


def micros(at: datetime) -> int:
    """Give a moment as µs since the epoch, UTC."""
    return (at - _EPOCH) // _MICROSECOND
