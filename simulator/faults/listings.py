"""Listings under change: markets that a venue hides, or lists with other contracts, for as long as a fault lasts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from core.instruments import Instrument
from simulator.binance.market import Market
from simulator.binance.streams import speaks
from simulator.dialect import Dialect
from simulator.exchange import SimulatedExchange
from simulator.venue_market import VenueMarket

Change = Callable[[str, Any], Any]
"""Give what a dialect lists in place of a market: another one, or None for none."""


class Listings:
    """Hold what all dialects list, and change it; the changes that are made at one time add up."""

    def __init__(self, exchange: SimulatedExchange, dialects: Sequence[Dialect]) -> None:
        self._binance = exchange.listed
        self._books: list[tuple[str, dict[tuple[str, str], VenueMarket]]] = [
            (dialect.name, dialect.markets) for dialect in dialects
        ]
        self._whole = dict(self._binance), [dict(markets) for _, markets in self._books]
        self._changes: list[Change] = []

    def names(self) -> list[tuple[str, str]]:
        """Give (dialect, instrument) of all that could be listed."""
        spot = [(speaks(futures), market.instrument.name) for (futures, _), market in self._whole[0].items()]
        books = zip(self._books, self._whole[1], strict=True)
        return spot + [(name, one.instrument.name) for (name, _), markets in books for one in markets.values()]

    def change(self, change: Change) -> None:
        """Apply a change from now on."""
        self._changes.append(change)
        self._apply()

    def restore(self, change: Change) -> None:
        """Take a change back."""
        self._changes.remove(change)
        self._apply()

    def _apply(self) -> None:
        spot = {key: self._changed(speaks(key[0]), market) for key, market in self._whole[0].items()}
        _fill(self._binance, spot)
        for (name, markets), whole in zip(self._books, self._whole[1], strict=True):
            _fill(markets, {key: self._changed(name, market) for key, market in whole.items()})

    def _changed(self, name: str, market: Any) -> Any:
        for change in self._changes:
            market = None if market is None else change(name, market)
        return market


def resized(market: Any, multiplier: Decimal, tick: Decimal, lot: Decimal) -> Any:
    """Give a market with other contracts, each so many times what it was; prices and sizes are written as before."""
    if isinstance(market, VenueMarket):
        source = resized(market.source, multiplier, tick, lot)
        return replace(market, instrument=_instrument(market.instrument, multiplier, tick, lot), source=source)
    one: Market = market
    return replace(
        one, instrument=_instrument(one.instrument, multiplier, tick, lot), tick=one.tick * tick, lot=one.lot * lot
    )


def _instrument(one: Instrument, multiplier: Decimal, tick: Decimal, lot: Decimal) -> Instrument:
    return replace(one, multiplier=one.multiplier * multiplier, tick=(one.tick or 1) * tick, lot=(one.lot or 1) * lot)


def _fill(held: dict[Any, Any], listed: dict[Any, Any]) -> None:
    held.clear()
    held.update((key, market) for key, market in listed.items() if market is not None)
