"""ccxt's unified symbols: ``BTC/USD``, ``BTC/USDT:USDT``, ``BTC/USD:BTC-260327``.

Source: docs.ccxt.com, manual, "Contract Naming Conventions": base/quote:settle-YYMMDD, for options -strike-C or -P.
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from exchanges.ccxt_sizes import Kind, sizes

LONGEST_EXCHANGE = 20
"""Characters of an exchange in an instrument's name; ccxt has one with 21, which loses its last."""

_SYMBOL = re.compile(r"([A-Z0-9]{1,20})/([A-Z0-9]{1,12})(?::([A-Z0-9]{1,20})(?:-([0-9]{6}))?)?")
_SETTLED_IN_BASE = ("USD",)


class Parts(NamedTuple):
    """Hold what a symbol says; ``settle`` is empty for spot, ``expiry`` is ``PERP`` or YYYYMMDD else."""

    base: str
    quote: str
    settle: str
    expiry: str

    @property
    def kind(self) -> Kind:
        """Say what it is paid in: no contract, the quote asset, the base asset, or another one."""
        if not self.settle:
            return "spot"
        if self.settle == self.quote:
            return "linear"
        return "inverse" if self.settle == self.base else "quanto"


def prefix(exchange_id: str) -> str:
    """Give what stands before the colon in the names of an exchange's instruments."""
    return exchange_id[:LONGEST_EXCHANGE]


@lru_cache(maxsize=8192)
def parts(symbol: str) -> Parts:
    """Read a symbol; raise `MalformedFrame` where our names cannot express it: options, lower case, other signs.

    Example:
        >>> parts("BTC/USD:BTC-260327")
        Parts(base='BTC', quote='USD', settle='BTC', expiry='20260327')
    """
    match = _SYMBOL.fullmatch(symbol)
    if match is None:
        raise MalformedFrame(f"symbol {symbol[:40]!r} has no name here")
    base, quote, settle, day = match.groups(default="")
    return Parts(base, quote, settle, _day(symbol, day) if day else "PERP" if settle else "")


def instrument(
    exchange_id: str,
    symbol: str,
    tick: Decimal | None = None,
    lot: Decimal | None = None,
    multiplier: Decimal = Decimal(1),
) -> Instrument:
    """Give the instrument of a symbol; raise `MalformedFrame` as `parts` does.

    ``multiplier`` is what ccxt calls the size of a contract; what a size is then: `exchanges.ccxt_sizes.sizes`.
    """
    told = parts(symbol)
    lot, multiplier, unit = sizes(exchange_id, told.kind, lot, multiplier)
    named = prefix(exchange_id), told.base, told.quote, told.expiry, symbol
    return Instrument(*named, tick, lot, multiplier, unit)


def symbol_of(exchange_id: str, wanted: Instrument) -> str:
    """Give an instrument's symbol: its own, else the likeliest; raise `UserError` for one of another exchange.

    Only the exchange's list says for certain what a contract is paid in: those in USD in their base asset, as most
    are, others in their quote asset.
    """
    if wanted.venue != prefix(exchange_id):
        raise UserError(f"{wanted.name} is not an instrument of {exchange_id}: its names begin with {exchange_id}:")
    if wanted.native:
        return wanted.native
    pair = f"{wanted.base}/{wanted.quote}"
    if not wanted.expiry:
        return pair
    contract = f"{pair}:{wanted.base if wanted.quote in _SETTLED_IN_BASE else wanted.quote}"
    return contract if wanted.expiry == "PERP" else f"{contract}-{wanted.expiry[2:]}"


def named_once(instruments: Iterable[Instrument]) -> list[Instrument]:
    """Give one instrument a name: of several contracts that differ in what they are paid in only, one.

    The linear one goes before the inverse one, and both before a quanto contract; the others cannot be named.
    """
    order: list[Kind] = ["spot", "linear", "inverse", "quanto"]
    found: dict[str, Instrument] = {}
    for one in sorted(instruments, key=lambda one: order.index(parts(one.native).kind)):
        found.setdefault(one.name, one)
    return list(found.values())


def _day(symbol: str, text: str) -> str:
    try:
        return f"{date(2000 + int(text[:2]), int(text[2:4]), int(text[4:])):%Y%m%d}"
    except ValueError:
        raise MalformedFrame(f"symbol {symbol[:40]!r} names no day") from None
