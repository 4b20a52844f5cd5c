"""The venues that are known, by name."""

from collections.abc import Mapping
from dataclasses import replace

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from exchanges.binance import SPOT
from exchanges.binance_usdm import USDM
from exchanges.bitget import SPOT as BITGET
from exchanges.bitget import USDT as BITGET_USDT
from exchanges.bybit import INVERSE, LINEAR
from exchanges.bybit import SPOT as BYBIT
from exchanges.ccxt_venue import PREFIX
from exchanges.ccxt_venue import named as of_ccxt
from exchanges.coinbase import COINBASE
from exchanges.deribit import DERIBIT
from exchanges.okx import OKX
from exchanges.simulated import SIMULATED
from exchanges.upbit import UPBIT
from exchanges.venue import Venue

_DECLARED = (SPOT, USDM, OKX, BITGET, BITGET_USDT, DERIBIT, BYBIT, LINEAR, INVERSE, UPBIT, COINBASE, SIMULATED)

VENUES: dict[str, Venue] = {venue.name: venue for venue in _DECLARED}
"""The venues as declared, at their own addresses; beside them, every exchange that ccxt can watch is one."""

OTHERS = f"{PREFIX}<exchange of ccxt>"
"""How those are named."""


def venue(
    name: str,
    websocket_url: str | None = None,
    rest_url: str | None = None,
    listed: Mapping[str, Instrument] | None = None,
) -> Venue:
    """Look a venue up by its name, ``ccxt-<exchange>`` among them; raise `UnknownName` where there is none.

    The addresses replace the venue's own; ``listed`` maps the venue's symbols to instruments, as its instrument
    list has them, and goes before what a symbol suggests.

    Example:
        >>> venue("binance-usdm").exchange
        'binance'
    """
    for declared in _DECLARED:
        if declared.name == name:
            return replace(
                declared,
                websocket_url=websocket_url or declared.websocket_url,
                rest_url=rest_url or declared.rest_url,
                listed=declared.listed if listed is None else listed,
            )
    if name.startswith(PREFIX):
        return of_ccxt(name, (websocket_url, rest_url), listed or {})
    raise UnknownName("venue", name, [*VENUES, OTHERS])


def has(known: Venue, instrument: Instrument) -> bool:
    """Tell whether an instrument can be one of a venue's, by its name alone."""
    if known.exchange != instrument.venue:
        return False
    try:
        known.native(instrument)
    except UserError:
        return False
    return True
