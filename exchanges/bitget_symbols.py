"""Bitget's symbols: two assets run together, ``BTCUSDT``, the same text on spot and on USDT futures."""

import re
from functools import lru_cache

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument

QUOTES = {"SPOT": ("USDT", "USDC", "EUR", "BTC", "ETH"), "USDT-FUTURES": ("USDT",)}
"""The quote assets by which a symbol is split, for each type of instruments; others are known from the list only."""

_SYMBOL = re.compile(r"[A-Z0-9]{3,30}")
_MAX_BASE = 20


@lru_cache(maxsize=8192)
def split(symbol: str, kind: str, exchange: str = "bitget") -> Instrument:
    """Give the instrument that a symbol of a type suggests; raise `MalformedFrame` where none fits.

    Example:
        >>> split("BTCUSDT", "USDT-FUTURES").name
        'bitget:BTC-USDT-PERP'
    """
    if _SYMBOL.fullmatch(symbol) is not None:
        for quote in QUOTES[kind]:
            base = symbol.removesuffix(quote)
            if base != symbol and 1 <= len(base) <= _MAX_BASE:
                return Instrument(exchange, base, quote, "" if kind == "SPOT" else "PERP", native=symbol)
    raise MalformedFrame(f"unknown symbol {symbol[:40]!r}")


def join(instrument: Instrument, kind: str, exchange: str = "bitget") -> str:
    """Give the symbol of an instrument; raise `UserError` where this market has no such instrument."""
    futures = kind != "SPOT"
    fits = instrument.venue == exchange and bool(instrument.expiry) == futures
    if not fits or (futures and instrument.quote not in QUOTES[kind]):
        market = "USDT futures" if futures else "spot"
        raise UserError(f"{instrument.name} is not an instrument of Bitget {market}")
    if instrument.native:
        return instrument.native
    if instrument.expiry.isdigit():
        raise UserError(f"the symbol of {instrument.name} is known from Bitget's list of instruments only")
    return f"{instrument.base}{instrument.quote}"
