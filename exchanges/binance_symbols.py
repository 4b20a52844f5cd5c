"""Binance's symbols: two assets run together, and for delivery futures a date."""

import re
from datetime import UTC, datetime
from functools import lru_cache

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument

# fmt: off
_QUOTES = (
    "USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USD1", "USDP", "USDS", "USD", "UST", "PAX", "DAI", "VAI",
    "BTC", "ETH", "BNB", "XRP", "TRX", "DOGE", "SOL", "DOT",
    "EUR", "EURI", "GBP", "AUD", "TRY", "BRL", "JPY", "MXN", "ARS", "COP", "PLN", "RON", "CZK", "ZAR",
    "UAH", "RUB", "NGN", "IDRT", "BIDR", "BKRW", "BVND",
)
# fmt: on

QUOTE_ASSETS = tuple(sorted(_QUOTES, key=lambda asset: (-len(asset), asset)))
"""Longest first, so that ARBTUSD is ARB-TUSD. AEUR is left out on purpose: ADAEUR is ADA-EUR."""

_SYMBOL = re.compile(r"([A-Z0-9]{3,30})(?:_([0-9]{6}))?")
_DATE = re.compile(r"[0-9]{6}")
_MAX_BASE = 20


@lru_cache(maxsize=8192)
def split(symbol: str, futures: bool, exchange: str = "binance") -> Instrument:
    """Give the instrument that a symbol names, by its quote asset; raise `MalformedFrame` where none fits.

    Source: exchanges' symbol rules, ``BTCUSDT`` and, for USD-M delivery, ``BTCUSDT_260327``.

    Example:
        >>> split("BTCUSDT_260327", futures=True).name
        'binance:BTC-USDT-20260327'
    """
    match = _SYMBOL.fullmatch(symbol) if len(symbol) <= 30 else None
    if match is None or (match[2] and not futures):
        raise _unknown(symbol)
    expiry = _date(symbol, match[2]) if match[2] else "PERP" if futures else ""
    for quote in QUOTE_ASSETS:
        base = match[1].removesuffix(quote)
        if base != match[1] and 1 <= len(base) <= _MAX_BASE:
            return Instrument(exchange, base, quote, expiry, native=symbol)
    raise _unknown(symbol)


def join(instrument: Instrument, futures: bool, exchange: str = "binance") -> str:
    """Give the symbol of an instrument; raise `UserError` where this market has no such instrument."""
    if instrument.venue != exchange or bool(instrument.expiry) != futures:
        market = "USD-M futures" if futures else "spot"
        raise UserError(f"{instrument.name} is not an instrument of Binance {market}")
    if instrument.native:
        return instrument.native
    date = f"_{instrument.expiry[2:]}" if instrument.expiry.isdigit() else ""
    return f"{instrument.base}{instrument.quote}{date}"


def delivery_date(digits: str) -> str | None:
    """Give the date of ``YYMMDD`` as ``YYYYMMDD``; None where it is none."""
    if not _DATE.fullmatch(digits):
        return None
    try:
        return datetime.strptime(f"20{digits}", "%Y%m%d").replace(tzinfo=UTC).strftime("%Y%m%d")
    except ValueError:
        return None


def _date(symbol: str, digits: str) -> str:
    date = delivery_date(digits)
    if date is None:
        raise _unknown(symbol)
    return date


def _unknown(symbol: str) -> MalformedFrame:
    return MalformedFrame(f"unknown symbol {symbol[:40]!r}")
