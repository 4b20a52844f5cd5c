"""Deribit's instrument names: ``BTC-PERPETUAL``, ``SOL_USDC-PERPETUAL``, ``BTC-27MAR26``, ``BTC_USDC``.

Source: docs.deribit.com, naming of instruments. A future without a quote asset is inverse: it settles in its base
and its amounts are US dollars. Options and combinations are not covered.
"""

import re
from datetime import date
from functools import lru_cache

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument

EXCHANGE = "deribit"

_SYMBOL = re.compile(r"([A-Z0-9]{1,20})(?:_([A-Z0-9]{1,12}))?(?:-(PERPETUAL|[0-9A-Z]{6,7}))?")
_OPTION = re.compile(r"[A-Z0-9_]+-[0-9A-Z]{6,7}-[0-9d]+-[CP]")
_EXPIRY = re.compile(r"([1-9][0-9]?)([A-Z]{3})([0-9]{2})")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@lru_cache(maxsize=8192)
def split(symbol: str) -> Instrument:
    """Give the instrument that a name stands for; raise `MalformedFrame` where none is covered.

    Example:
        >>> split("BTC-27MAR26").name, split("SOL_USDC-PERPETUAL").name
        ('deribit:BTC-USD-20260327', 'deribit:SOL-USDC-PERP')
    """
    match = _SYMBOL.fullmatch(symbol) if len(symbol) <= 50 else None
    if match is None:
        if _OPTION.fullmatch(symbol[:60]):
            raise MalformedFrame(f"options are not covered: {symbol[:40]!r}")
        raise _unknown(symbol)
    base, quote, dated = match.groups()
    # BTC alone is an asset; BTC_USD-PERPETUAL would be a second name of BTC-PERPETUAL.
    if (quote is None and dated is None) or (quote == "USD" and dated is not None):
        raise _unknown(symbol)
    expiry = "" if dated is None else "PERP" if dated == "PERPETUAL" else _expiry(symbol, dated)
    if quote is None:
        return Instrument(EXCHANGE, base, "USD", expiry, native=symbol, size_unit="quote")
    return Instrument(EXCHANGE, base, quote, expiry, native=symbol)


def join(instrument: Instrument) -> str:
    """Give Deribit's name of an instrument; raise `UserError` where it is another venue's, or has no such expiry."""
    if instrument.venue != EXCHANGE:
        raise UserError(f"{instrument.name} is not an instrument of Deribit")
    if instrument.native:
        return instrument.native
    assets = instrument.base if is_inverse(instrument) else f"{instrument.base}_{instrument.quote}"
    if not instrument.expiry:
        return assets
    return f"{assets}-PERPETUAL" if instrument.expiry == "PERP" else f"{assets}-{_dated(instrument)}"


def is_inverse(instrument: Instrument) -> bool:
    """Say whether its amounts are US dollars; by its name, which every `Instrument` of it has."""
    return bool(instrument.expiry) and instrument.quote == "USD"


def _expiry(symbol: str, dated: str) -> str:
    match = _EXPIRY.fullmatch(dated)
    if match is None or match[2] not in _MONTHS:
        raise _unknown(symbol)
    try:
        return f"{date(2000 + int(match[3]), _MONTHS.index(match[2]) + 1, int(match[1])):%Y%m%d}"
    except ValueError:
        raise _unknown(symbol) from None


def _dated(instrument: Instrument) -> str:
    digits = instrument.expiry
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise UserError(f"{instrument.name}: {digits} is no date") from None
    if not 2000 <= day.year < 2100:
        raise UserError(f"{instrument.name}: Deribit names no year but of this century")
    return f"{day.day}{_MONTHS[day.month - 1]}{day:%y}"


def _unknown(symbol: str) -> MalformedFrame:
    return MalformedFrame(f"unknown symbol {symbol[:40]!r}")
