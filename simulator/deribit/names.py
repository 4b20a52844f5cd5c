"""The names of Deribit's instruments and candles.

Linear ones are ``BTC_USDT`` (spot), ``AVAX_USDT-PERPETUAL`` and, of a future, ``BTC_USDT-27MAR26``, as Deribit names
those of USDC; what is quoted in USD is inverse: ``BTC-PERPETUAL``. Source: docs.deribit.com, "Naming".
"""

from core.instruments import Instrument

RESOLUTIONS = {
    "1": "1m",
    "3": "3m",
    "5": "5m",
    "15": "15m",
    "30": "30m",
    "60": "1h",
    "120": "2h",
    "360": "6h",
    "720": "12h",
    "1D": "1d",
}
"""Deribit's names of the timeframes that the tape has; Deribit also has 10 and 180 minutes."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def named(instrument: Instrument) -> str:
    """Give Deribit's name of an instrument."""
    pair, expiry = f"{instrument.base}_{instrument.quote}", instrument.expiry
    if not expiry:
        return pair
    pair = instrument.base if is_inverse(instrument) else pair
    if expiry == "PERP":
        return f"{pair}-PERPETUAL"
    return f"{pair}-{int(expiry[6:])}{_MONTHS[int(expiry[4:6]) - 1]}{expiry[2:4]}"


def is_inverse(instrument: Instrument) -> bool:
    """Tell whether an instrument is settled in its base, and sized in US dollars."""
    return bool(instrument.expiry) and instrument.quote == "USD"
