"""Timeframes: how time is cut into candles, by integer arithmetic in UTC alone.

Intervals are aligned to the epoch, weeks to Monday (1970-01-05), months to their first day. These are
the alignments of Binance's klines in UTC, so that our candles can be compared with the venue's.
"""

from dataclasses import dataclass

from core.errors import UnknownName
from core.plain import Plain

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, order=True)
class Timeframe(Plain):
    """Cut time into intervals of one length.

    ``micros`` is the length in microseconds, 0 for calendar months; ``shift`` is where the first interval
    after the epoch begins, in microseconds (four days for weeks: the epoch was a Thursday).

    Example:
        >>> tf = timeframe("5m")
        >>> tf.floor(1_723_161_255_342_000)
        1723161000000000
    """

    micros: int
    name: str
    shift: int = 0

    def floor(self, ts: int) -> int:
        """Give the start of the interval that holds ``ts``; both are µs since the epoch, UTC."""
        if self.micros:
            return (ts - self.shift) // self.micros * self.micros + self.shift
        year, month = _year_month(ts // DAY)
        return _month_start(year, month)

    def end(self, start: int) -> int:
        """Give the end (exclusive) of the interval that begins at ``start``."""
        if self.micros:
            return start + self.micros
        year, month = _year_month(start // DAY)
        return _month_start(year + month // 12, month % 12 + 1)

    def __str__(self) -> str:
        return self.name


TIMEFRAMES: dict[str, Timeframe] = {
    tf.name: tf
    for tf in (
        Timeframe(SECOND, "1s"),
        *(Timeframe(n * MINUTE, f"{n}m") for n in (1, 3, 5, 15, 30)),
        *(Timeframe(n * HOUR, f"{n}h") for n in (1, 2, 4, 6, 8, 12)),
        Timeframe(DAY, "1d"),
        Timeframe(3 * DAY, "3d"),
        Timeframe(7 * DAY, "1w", shift=4 * DAY),
        Timeframe(0, "1M"),
    )
}

BASE = (TIMEFRAMES["1s"], TIMEFRAMES["1m"])
"""The timeframes that are folded from trades and stored; all others are folded from minutes."""


def timeframe(name: str) -> Timeframe:
    """Look a timeframe up by its name; raise `UnknownName` where there is none."""
    try:
        return TIMEFRAMES[name]
    except KeyError:
        raise UnknownName("timeframe", name, TIMEFRAMES) from None


def _year_month(day: int) -> tuple[int, int]:
    # Days since the epoch to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
    z = day + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    mp = (5 * (doe - (365 * yoe + yoe // 4 - yoe // 100)) + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month


def _month_start(year: int, month: int) -> int:
    y = year - (month <= 2)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5
    return (era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719_468) * DAY
