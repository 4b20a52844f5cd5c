"""Bybit's symbols: the same text at spot and at linear, so that the category is part of the name.

Sources: bybit-exchange/docs (enum.mdx, market/instrument.mdx): ``BTCUSDT``, ``BTCPERP`` (settled in USDC),
``BTCUSD`` (inverse), dated ``BTCUSDT-26DEC25`` and ``BTC-26DEC25`` (USDC). A dated inverse future, ``BTCUSDH26``,
does not say its day: only the venue's list does.
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Literal, TypeAlias

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument, SizeUnit

Category: TypeAlias = Literal["spot", "linear", "inverse"]

EXCHANGE = "bybit"
LONGEST = 30
"""Characters of a symbol; the longest that is known has 20."""

# Longest first, so that BTCUSDE is BTC-USDE and ETHDAI is ETH-DAI.
_SPOT_QUOTES = ("USDT", "USDC", "USDE", "USDQ", "USDR", "USD1", "BTC", "ETH", "EUR", "BRL", "BRZ", "PLN", "TRY",
                "DAI", "MNT", "SOL", "GBP")  # fmt: skip
_SYMBOL = re.compile(r"([A-Z0-9]{2,30})(?:-([0-9]{1,2}[A-Z]{3}[0-9]{2}))?")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MAX_BASE = 20


@lru_cache(maxsize=8192)
def split(symbol: str, category: Category) -> Instrument:
    """Give the instrument that a symbol names; raise `MalformedFrame` where it names none for certain.

    Example:
        >>> split("BTCPERP", "linear").name, split("BTCUSD", "inverse").name
        ('bybit:BTC-USDC-PERP', 'bybit:BTC-USD-PERP')
    """
    match = _SYMBOL.fullmatch(symbol) if len(symbol) <= LONGEST else None
    if match is None or (match[2] and category != "linear"):
        raise _unknown(symbol)
    pair = match[1]
    if category == "spot":
        base, quote = _cut(symbol, pair, _SPOT_QUOTES)
        return instrument(category, symbol, base, quote, "")
    if category == "inverse":
        base, quote = _cut(symbol, pair, ("USD",))
        return instrument(category, symbol, base, quote, "PERP")
    if match[2]:
        dated = _date(symbol, match[2])
        base, quote = _cut(symbol, pair, ("USDT",)) if pair.endswith("USDT") else (pair, "USDC")
        return instrument(category, symbol, base, quote, dated)
    base, quote = _cut(symbol, pair, ("USDT", "PERP"))
    return instrument(category, symbol, base, quote.replace("PERP", "USDC"), "PERP")


def instrument(
    category: Category,
    symbol: str,
    base: str,
    quote: str,
    expiry: str,
    tick: Decimal | None = None,
    lot: Decimal | None = None,
) -> Instrument:
    """Build an instrument; the sizes of inverse contracts are USD, all others are of the base asset."""
    unit: SizeUnit = "quote" if category == "inverse" else "base"
    return Instrument(EXCHANGE, base, quote, expiry, symbol, tick, lot, size_unit=unit)


def join(wanted: Instrument, category: Category, listed: Iterable[Instrument]) -> str:
    """Give the symbol of an instrument; raise `UserError` where this category has none, or the list must say it."""
    if wanted.venue != EXCHANGE or not _has(category, wanted):
        raise UserError(f"{wanted.name} is not an instrument of Bybit {category}")
    if wanted.native:
        return wanted.native
    known = next((one.native for one in listed if one.name == wanted.name), None)
    if known is not None:
        return known
    if wanted.expiry.isdigit():
        raise UserError(
            f"{wanted.name} is not in Bybit's list of instruments, and its symbol is not known without it"
        )
    return f"{wanted.base}PERP" if wanted.expiry and wanted.quote == "USDC" else f"{wanted.base}{wanted.quote}"


def _has(category: Category, wanted: Instrument) -> bool:
    if category == "spot":
        return not wanted.expiry
    return bool(wanted.expiry) and wanted.quote in (("USD",) if category == "inverse" else ("USDT", "USDC"))


def _cut(symbol: str, pair: str, quotes: tuple[str, ...]) -> tuple[str, str]:
    for quote in quotes:
        base = pair.removesuffix(quote)
        if base != pair and 1 <= len(base) <= _MAX_BASE:
            return base, quote
    raise _unknown(symbol)


def _date(symbol: str, text: str) -> str:
    day, month, year = text[:-5], text[-5:-2], text[-2:]
    try:
        return f"{date(2000 + int(year), _MONTHS.index(month) + 1, int(day)):%Y%m%d}"
    except ValueError:
        raise _unknown(symbol) from None


def _unknown(symbol: str) -> MalformedFrame:
    return MalformedFrame(f"unknown symbol {symbol[:40]!r}")
