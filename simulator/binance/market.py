"""A market as Binance shows it: a symbol, how its numbers are written, and the ids of its aggregates."""

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.instruments import Instrument
from core.trades import TradeBatch

# From here on a double's last digit weighs enough to show in the eighth decimal.
_EXACT_BELOW = 2.0**24


@dataclass(frozen=True, slots=True)
class Market:
    """Describe one market; spot writes eight decimals everywhere, USD-M those of tick and lot.

    Every trade is an aggregate of its own, with an id that is smaller by ``aggregate_offset``: contiguous where the
    trades are, and never mistaken for a trade's. ``unseen`` holds, by trade id, how many fills of the insurance fund
    lie before it that no stream ever tells: the trade ids of aggregates jump over them, their own ids do not.
    """

    instrument: Instrument
    symbol: str
    futures: bool
    tick: Decimal
    lot: Decimal
    price_decimals: int
    size_decimals: int
    aggregate_offset: int
    unseen: dict[int, int] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, instrument: Instrument, first_id: int) -> "Market":
        """Give the market of an instrument; raise `UserError` where it lacks its symbol, tick or lot."""
        if not (instrument.native and instrument.tick and instrument.lot):
            raise UserError(f"{instrument.name} cannot be served: give it a native symbol, a tick and a lot")
        futures = bool(instrument.expiry)
        tick, lot = instrument.tick, instrument.lot
        return cls(
            instrument,
            instrument.native,
            futures,
            tick,
            lot,
            decimals(tick) if futures else 8,
            decimals(lot) if futures else 8,
            first_id // 2,
        )

    def prices(self, values: NDArray[np.float64]) -> list[str]:
        """Write prices."""
        return texts(values, self.price_decimals)

    def sizes(self, values: NDArray[np.float64]) -> list[str]:
        """Write sizes."""
        return texts(values, self.size_decimals)

    def price(self, value: Decimal | float) -> str:
        """Write a price, or anything of its unit."""
        return f"{exact(value):.{self.price_decimals}f}"

    def size(self, value: Decimal | float) -> str:
        """Write a size, or a sum of sizes."""
        return f"{exact(value):.{self.size_decimals}f}"

    def value(self, value: Decimal) -> str:
        """Write a sum of price × size."""
        return f"{value:.{min(8, self.price_decimals + self.size_decimals) if self.futures else 8}f}"

    def aggregates(self, trades: TradeBatch) -> tuple[list[int], list[int], list[int]]:
        """Give the aggregate ids, first and last trade ids of rows.

        Rows that are aggregates themselves keep their id; which trades they stand for is invented, how many is not.
        """
        ids = trades.ids
        if trades.id_space == "trade":
            told = ids + sum(count * (ids >= first) for first, count in self.unseen.items())
            return (ids - self.aggregate_offset).tolist(), told.tolist(), told.tolist()
        first = ids * 1000
        return ids.tolist(), first.tolist(), (first + trades.fills - 1).tolist()


def decimals(step: Decimal) -> int:
    """Give how many decimals a step needs."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def exact(value: Decimal | float) -> Decimal:
    """Give the decimal that a price or size stands for: the shortest one of its double."""
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def texts(values: NDArray[np.float64], places: int) -> list[str]:
    """Write values with so many decimals."""
    if len(values) and values.max() >= _EXACT_BELOW:
        return [f"{exact(value):.{places}f}" for value in values.tolist()]
    form = f"%.{places}f"
    return [form % value for value in values.tolist()]
