"""Listings: what an invented venue trades, and the character of each market."""

import math
from dataclasses import dataclass
from decimal import Decimal

from core.errors import UserError
from core.instruments import Instrument


@dataclass(frozen=True, slots=True)
class Listing:
    """Describe one invented market.

    ``price`` is the first mid price; ``rate`` the mean trades a second over a week; ``volatility`` the standard
    deviation of a day's log return; ``beta`` the correlation of its moves with the common factor, 0 to 1;
    ``notional`` the median order in quote currency; ``first_id`` the first trade id. The instrument must
    know its native symbol, tick and lot, else `UserError`.
    """

    instrument: Instrument
    price: float
    rate: float
    volatility: float
    beta: float
    notional: float
    first_id: int

    def __post_init__(self) -> None:
        one = self.instrument
        if not one.native or not one.tick or not one.lot or one.tick <= 0 or one.lot <= 0:
            raise UserError(f"{one.name} cannot be invented: give it a native symbol, a tick and a lot")
        numbers = (self.price, self.rate, self.notional, self.volatility)
        if not all(map(math.isfinite, numbers)) or min(numbers[:3]) <= 0 or self.volatility < 0:
            raise UserError(
                f"{one.name} cannot be invented: price, rate, notional must be above 0, volatility at least 0"
            )
        if not (0 <= self.beta <= 1 and self.first_id >= 0):
            raise UserError(f"{one.name} cannot be invented: beta lies in [0, 1] and ids are not negative")


def _spot(base: str, tick: str, lot: str, expiry: str = "") -> Instrument:
    return Instrument("simulated", base, "USDT", expiry, native=f"{base}USDT", tick=Decimal(tick), lot=Decimal(lot))


def _perpetual(base: str, tick: str, lot: str) -> Instrument:
    return _spot(base, tick, lot, "PERP")


LISTINGS: tuple[Listing, ...] = (
    Listing(_spot("BTC", "0.01", "0.00001"), 98_314.37, 20.0, 0.026, 0.85, 180.0, 4_400_000_001),
    Listing(_spot("ETH", "0.01", "0.0001"), 3_634.12, 13.0, 0.034, 0.80, 140.0, 1_900_000_001),
    Listing(_spot("SOL", "0.01", "0.001"), 213.48, 9.0, 0.045, 0.75, 90.0, 900_000_001),
)
"""The steps are those of Binance spot; the prices and rates are invented."""

MORE: tuple[Listing, ...] = (
    Listing(_spot("XRP", "0.0001", "0.1"), 2.4093, 8.0, 0.048, 0.70, 70.0, 700_000_001),
    Listing(_spot("DOGE", "0.00001", "1"), 0.38521, 6.0, 0.055, 0.75, 60.0, 800_000_001),
    Listing(_spot("BNB", "0.01", "0.001"), 707.31, 4.0, 0.028, 0.75, 80.0, 1_000_000_001),
    Listing(_spot("LTC", "0.01", "0.001"), 112.38, 2.0, 0.040, 0.75, 60.0, 400_000_001),
    Listing(_spot("ADA", "0.0001", "0.1"), 1.0847, 3.0, 0.050, 0.75, 60.0, 550_000_001),
    Listing(_perpetual("AVAX", "0.001", "1"), 41.872, 2.0, 0.055, 0.80, 90.0, 300_000_001),
    Listing(_perpetual("LINK", "0.001", "0.01"), 23.451, 2.0, 0.050, 0.75, 90.0, 350_000_001),
)
"""Further listings of the invented venue, which are there to be subscribed to as well: spot, then USD-M."""
