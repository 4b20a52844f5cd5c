"""What every candle of a venue must satisfy."""

from decimal import Decimal

from core.errors import MalformedFrame
from core.timeframes import Timeframe
from exchanges import bounds


def check_kline(length: Timeframe, start: int, open_: str, high: str, low: str, close: str) -> None:
    """Check a candle's start (µs since the epoch, UTC) and its prices.

    Raise `MalformedFrame` where no such candle begins then, where a price is out of bounds, and where open or close
    lie beyond low or high.
    """
    if length.floor(start) != start:
        raise MalformedFrame(f"kline {length} begins at {start}, which is no start of that timeframe in UTC")
    for text, what in ((open_, "open"), (high, "high"), (low, "low"), (close, "close")):
        bounds.price(text, what)
    edges = (Decimal(open_), Decimal(close))
    if not Decimal(low) <= min(edges) <= max(edges) <= Decimal(high):
        raise MalformedFrame(f"kline {length} at {start} has prices beyond its low or high")
