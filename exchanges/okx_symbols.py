"""OKX's symbols: ``BTC-USDT``, ``BTC-USDT-SWAP``, ``BTC-USD-260327``; options are not covered."""

import re
from functools import lru_cache

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from exchanges.binance_symbols import delivery_date

SWAP = "-SWAP"
_SYMBOL = re.compile(r"([A-Z0-9]{1,20})-([A-Z0-9]{1,12})(?:-(SWAP|[0-9]{6}))?")


@lru_cache(maxsize=8192)
def split(symbol: str, exchange: str = "okx") -> Instrument:
    """Give the instrument that a symbol names; raise `MalformedFrame` for options and what is no symbol.

    Sizes of derivatives are contracts; how much one stands for is in the venue's list only.

    Example:
        >>> split("BTC-USD-260327").name
        'okx:BTC-USD-20260327'
    """
    match = _SYMBOL.fullmatch(symbol) if len(symbol) <= 42 else None
    if match is None:
        raise _unknown(symbol)
    base, quote, kind = match.groups()
    if kind is None:
        return Instrument(exchange, base, quote, native=symbol)
    expiry = "PERP" if kind == "SWAP" else delivery_date(kind)
    if expiry is None:
        raise _unknown(symbol)
    return Instrument(exchange, base, quote, expiry, native=symbol, size_unit="contracts")


def join(instrument: Instrument, exchange: str = "okx") -> str:
    """Give the symbol of an instrument; raise `UserError` where it is another exchange's."""
    if instrument.venue != exchange:
        raise UserError(f"{instrument.name} is not an instrument of OKX")
    if instrument.native:
        return instrument.native
    kind = {"": "", "PERP": SWAP}.get(instrument.expiry, f"-{instrument.expiry[2:]}")
    return f"{instrument.base}-{instrument.quote}{kind}"


def _unknown(symbol: str) -> MalformedFrame:
    return MalformedFrame(f"unknown symbol {symbol[:40]!r}")
