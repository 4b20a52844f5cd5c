"""Instruments: one name for one market, whatever the venue calls it."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from core.errors import UserError

SizeUnit = Literal["base", "quote", "contracts"]
"""What a size of 1 means."""

_NAME = re.compile(
    r"(?P<venue>[a-z][a-z0-9]{1,19}):(?P<base>[A-Z0-9]{1,20})-(?P<quote>[A-Z0-9]{1,12})(?:-(?P<expiry>PERP|[0-9]{8}))?"
)


@dataclass(frozen=True, slots=True)
class Instrument:
    """Describe a market of a venue.

    The name is ``venue:BASE-QUOTE`` for spot, with ``-PERP`` for perpetuals and ``-YYYYMMDD`` for futures,
    the assets in upper case. ``native`` is the venue's own symbol; ``tick`` and ``lot`` are the steps of
    price and size (None until the venue has told them); ``multiplier`` is how many units of base (or of
    quote, for inverse contracts) one contract stands for.

    Example:
        >>> Instrument.parse("binance:BTC-USDT").base
        'BTC'
    """

    venue: str
    base: str
    quote: str
    expiry: str = ""
    native: str = ""
    tick: Decimal | None = None
    lot: Decimal | None = None
    multiplier: Decimal = Decimal(1)
    size_unit: SizeUnit = "base"

    @property
    def name(self) -> str:
        """Give the instrument's one name."""
        return f"{self.venue}:{self.base}-{self.quote}" + (f"-{self.expiry}" if self.expiry else "")

    @classmethod
    def parse(cls, name: str) -> "Instrument":
        """Read a name; raise `UserError` where it is not of the form ``venue:BASE-QUOTE[-PERP|-YYYYMMDD]``."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise UserError(
                f"{name[:80]!r} is no instrument name: write venue:BASE-QUOTE, "
                "for example binance:BTC-USDT or binance:BTC-USDT-PERP"
            )
        return cls(match["venue"], match["base"], match["quote"], match["expiry"] or "")

    def __str__(self) -> str:
        return self.name
