"""Warming a run up: what it remembers before its first live candle, and where that came from."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.candles import Candle
from core.records import VenueCandles


@dataclass(frozen=True, slots=True)
class Past:
    """Hold the candles that a run is warmed with, in order of start: first the venue's own, then the lake's.

    ``venue`` and ``lake`` say how many of them are whose.
    """

    candles: tuple[Candle, ...]
    venue: int
    lake: int


def join(venue: Sequence[Candle], lake: Sequence[Candle], before: int, count: int) -> Past:
    """Join what the lake has with what the venue told of the time before it; at most ``count`` candles.

    ``before`` (µs since the epoch, UTC) is the start of the first candle that will be decided on.
    """
    first = lake[0].start if lake else before
    older = [candle for candle in venue if candle.start < first]
    taken = older[max(0, len(older) + len(lake) - count) :]
    kept = lake[max(0, len(lake) - count) :]
    return Past((*taken, *kept), len(taken), len(kept))


def read(told: VenueCandles) -> tuple[Candle, ...]:
    """Read the venue's own candles; they count as complete, the venue knows its trades."""
    return tuple(
        Candle(
            told.instrument,
            told.timeframe,
            start,
            float(opened),
            float(high),
            float(low),
            float(close),
            Decimal(volume),
            Decimal(quote_volume),
            trades,
            Decimal(taker_buy_volume),
            complete=True,
        )
        for start, opened, high, low, close, volume, quote_volume, trades, taker_buy_volume in told.rows
    )
