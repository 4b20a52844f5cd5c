"""Figures as the live table shows them: prices to their tick, shares, ages."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

_SECOND = 1_000_000


@dataclass(slots=True)
class Digits:
    """Know how many decimals the prices and volumes of each instrument have, from what was shown of it so far.

    The board gives numbers without trailing zeros; with them they stand in line, and do not jump as they change.
    """

    price: dict[str, int] = field(default_factory=dict)
    volume: dict[str, int] = field(default_factory=dict)

    def see(self, instrument: dict[str, Any]) -> None:
        """Take notice of an instrument of the board."""
        name = instrument["instrument"]
        candles = [candle for candle in (instrument["forming"], instrument["closed"]) if candle]
        prices = [instrument["price"], *(c[k] for c in candles for k in ("open", "high", "low", "close"))]
        self.price[name] = max(self.price.get(name, 0), *map(decimals, prices))
        self.volume[name] = max([self.volume.get(name, 0), *(decimals(candle["volume"]) for candle in candles)])


def decimals(number: str | None) -> int:
    """Count the decimals of a number as text.

    Example:
        >>> decimals("98314.37")
        2
    """
    return len(number.partition(".")[2]) if number else 0


def number(text: str | None, digits: int) -> str:
    """Write a number with thousands separators and that many decimals; what is missing is empty."""
    return "" if text is None else f"{Decimal(text):,.{digits}f}"


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share of 1 in per cent; less than all is never rounded up to all."""
    if share is None:
        return ""
    scale = 10**digits
    return f"{int(share * 100 * scale + 1e-9) / scale:.{digits}f}%"


def signed_percent(change: float | None) -> str:
    """Write a change with its sign: +0.42%."""
    return "" if change is None else f"{change:+.2%}"


def age(micros: int | float) -> str:
    """Write how long ago, in the one unit that suits: 5s, 12m, 3h, 2d; less than nothing is 0s."""
    seconds = max(0, int(micros / _SECOND))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def lag(seconds: float) -> str:
    """Write a lag: nothing behind is 0, below ten seconds with a decimal."""
    if seconds <= 0:
        return "0s"
    return f"{seconds:.1f}s" if seconds < 10 else age(seconds * _SECOND)
