"""A market as one venue lists it: the venue's own symbol, and how its numbers are written there."""

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.instruments import Instrument
from simulator.binance.market import Market, decimals, exact, texts


@dataclass(frozen=True, slots=True, eq=False)
class VenueMarket:
    """Describe one market of a dialect; each is made once, so that two are equal where they are the same object.

    ``instrument`` bears the venue's name (``okx:BTC-USDT-PERP``) and symbol; ``source`` is the market on the tape.
    ``section`` is the part of the venue that lists it, where symbols are unique in a part only (Bybit's category).
    Prices and sizes are those of the tape, with the decimals of its tick and lot: one contract of a derivative is
    ``instrument.multiplier`` of the base (of the quote for inverse ones), 1 unless the tape's instrument says more.
    """

    instrument: Instrument
    source: Market
    section: str
    price_decimals: int
    size_decimals: int

    @classmethod
    def of(cls, source: Market, exchange: str, symbol: str, section: str = "") -> "VenueMarket":
        """Give the market under a venue's name and symbol."""
        instrument = replace(source.instrument, venue=exchange, native=symbol)
        return cls(instrument, source, section, decimals(source.tick), decimals(source.lot))

    @property
    def symbol(self) -> str:
        """Give the venue's symbol."""
        return self.instrument.native

    @property
    def native(self) -> str:
        """Give the symbol under which the tape has it."""
        return self.source.symbol

    def prices(self, values: NDArray[np.float64]) -> list[str]:
        """Write prices."""
        return texts(values, self.price_decimals)

    def sizes(self, values: NDArray[np.float64]) -> list[str]:
        """Write sizes."""
        return texts(values, self.size_decimals)

    def price(self, value: Decimal | float) -> str:
        """Write a price."""
        return f"{exact(value):.{self.price_decimals}f}"

    def size(self, value: Decimal | float) -> str:
        """Write a size, or a sum of sizes."""
        return f"{exact(value):.{self.size_decimals}f}"

    def value(self, value: Decimal) -> str:
        """Write a sum of price × size."""
        return f"{value:.{self.price_decimals + self.size_decimals}f}"
