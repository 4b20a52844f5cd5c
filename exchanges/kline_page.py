"""A page of candles that a venue gave by REST, and how far one reaches."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from core.errors import MalformedFrame
from core.records import VenueCandles
from core.timeframes import Timeframe
from exchanges import bounds
from exchanges.klines_check import check_kline


class Candle(NamedTuple):
    """Hold a candle as the venue's texts; ``start`` is µs since the epoch, UTC."""

    start: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str


def checked(candle: Candle, length: Timeframe) -> Candle:
    """Give the candle; raise `MalformedFrame` as `check_kline` does, and for volumes out of bounds."""
    check_kline(length, candle.start, candle.open, candle.high, candle.low, candle.close)
    bounds.total(candle.volume, "volume")
    bounds.total(candle.quote_volume, "quote volume")
    return candle


def kline_page(instrument: str, length: Timeframe, candles: Iterable[Candle]) -> VenueCandles:
    """Check the candles of a page, whatever their order, and give them ascending.

    For venues that tell neither the number of trades nor what takers bought: both stand as 0. Raises
    `MalformedFrame` as `checked` does, and for two candles of one start.
    """
    page = sorted((checked(candle, length) for candle in candles), key=lambda candle: candle.start)
    for one, other in pairwise(page):
        if one.start == other.start:
            raise MalformedFrame(f"kline {length} at {one.start} stands twice in a page")
    return VenueCandles(instrument, length.name, [(*candle, 0, "0") for candle in page])


def page_end(length: Timeframe, start: int, end: int, rows: int) -> int:
    """Give the latest time up to ``end`` such that at most ``rows`` candles begin from ``start`` on; all µs, UTC.

    For venues that refuse a stretch that holds too many candles, or give the last ones of it.

    Example:
        >>> from core.timeframes import timeframe
        >>> page_end(timeframe("1m"), 60_000_000, 6_000_000_000, 2)
        180000000
    """
    at = length.floor(start)
    at = at if at == start else length.end(at)
    for _ in range(rows):
        if at >= end:
            break
        at = length.end(at)
    return min(end, at)
