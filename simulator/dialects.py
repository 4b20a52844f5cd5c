"""The dialects that the simulated exchange speaks beside Binance's."""

from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import urlsplit

from exchanges.registry import venue
from simulator.bitget.dialect import Bitget
from simulator.bybit.dialect import Bybit
from simulator.deribit.dialect import Deribit
from simulator.dialect import Dialect
from simulator.exchange import SimulatedExchange
from simulator.okx.dialect import Okx
from simulator.upbit.dialect import Upbit

_Kind: TypeAlias = type[Okx] | type[Bybit] | type[Deribit] | type[Bitget] | type[Upbit]

SPOKEN: tuple[_Kind, ...] = (Okx, Bybit, Deribit, Bitget, Upbit)
"""Each with its venue's own manners; their paths do not collide."""


def every(exchange: SimulatedExchange) -> list[Dialect]:
    """Give all dialects, as strict as their venues."""
    return [dialect(exchange) for dialect in SPOKEN]


@dataclass(frozen=True, slots=True)
class Address:
    """Say how a feed of ours reaches the exchange in a venue's dialect: the venue, its symbols, and its addresses."""

    venue: str
    symbols: tuple[str, ...]
    websocket_url: str
    rest_url: str


def addresses(exchange: SimulatedExchange, host: str) -> list[Address]:
    """Give the addresses of all venues that have some market of the tape; ``host`` is name and port."""
    symbols: dict[str, list[str]] = {}
    for dialect in every(exchange):
        for market in dialect.markets.values():
            symbols.setdefault(dialect.venue_name(market.instrument), []).append(market.symbol)
    return [_address(name, tuple(named), host) for name, named in symbols.items()]


def _address(name: str, symbols: tuple[str, ...], host: str) -> Address:
    known = venue(name)
    paths = urlsplit(known.websocket_url).path, urlsplit(known.rest_url).path
    return Address(name, symbols, f"ws://{host}{paths[0]}", f"http://{host}{paths[1]}")
