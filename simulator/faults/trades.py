"""Faults of trades: ids that are skipped, and ids that are told again with another price."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import numpy as np
from msgspec import Meta

from core.trades import TradeBatch
from simulator.binance.streams import speaks
from simulator.faults.fault import Effect, Fault, Stage

Count = Annotated[int, Meta(ge=1, le=100_000)]


class Skip(Fault, frozen=True, kw_only=True):
    """Do not tell the next ``count`` trades of each instrument on any websocket.

    REST serves them, unless ``served`` is false: then it never does, to no client and in no dialect.
    """

    filters = frozenset({"instruments"})
    default = 10.0

    count: Count = 3
    served: bool = True

    def begin(self, stage: Stage) -> Effect:  # noqa: D102 - said above
        return _Skipping(self.count, stage, self.served)


class Conflict(Fault, frozen=True, kw_only=True):
    """Tell the next ``count`` trades of each instrument, and then each again at a price that is ``ticks`` higher."""

    filters = frozenset({"instruments"})
    default = 10.0

    count: Count = 1
    ticks: Annotated[int, Meta(ge=1, le=1000)] = 7

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Conflicting(self.count, stage, self.ticks)


class FalseGap(Fault, frozen=True, kw_only=True):
    """Let the trade ids of Binance USD-M's aggregates (``f``, ``l``) jump by ``count``, where nothing is missing.

    Fills of the insurance fund have ids, and no stream tells them; aggregates' own ids go on one by one. Source:
    binance-public-data, issue 378. It stays so.
    """

    filters = frozenset({"instruments"})
    lasting = False

    count: Count = 3

    def begin(self, stage: Stage) -> None:  # noqa: D102
        exchange = stage.exchange
        for market in exchange.markets(True):
            name = market.instrument.name
            last = exchange.tape.last(market.symbol, exchange.now(), 1)
            if len(last) and stage.step.hits_instrument(speaks(True), name):
                stage.entry.touch(speaks(True), name, (last,))
                first = int(last.ids[-1]) + 1
                market.unseen[first] = market.unseen.get(first, 0) + self.count


class _Counted(Effect):
    """Deal with the next trades of each instrument of each dialect."""

    def __init__(self, count: int, stage: Stage) -> None:
        self.count, self.stage = count, stage
        self.left: dict[tuple[str, str], int] = {}

    def split(self, speaks: str, batch: TradeBatch) -> tuple[TradeBatch, TradeBatch]:
        """Give the trades to be dealt with, and the others."""
        key = speaks, batch.instrument
        left = self.left.setdefault(key, self.count)
        hit, others = batch.take(slice(0, left)), batch.take(slice(left, None))
        self.left[key] = left - len(hit)
        if len(hit):
            self.stage.entry.touch(speaks, batch.instrument, (hit,))
        return hit, others


class _Skipping(_Counted):
    def __init__(self, count: int, stage: Stage, served: bool) -> None:
        super().__init__(count, stage)
        self.served = served

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        hit, others = self.split(speaks, batch)
        if len(hit) and not self.served:
            self.stage.redacted().hide(self.stage.instrument(batch.instrument).native, hit.ids)
        return (others,)


class _Conflicting(_Counted):
    def __init__(self, count: int, stage: Stage, ticks: int) -> None:
        super().__init__(count, stage)
        self.ticks = ticks

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        hit, _ = self.split(speaks, batch)
        step = (self.stage.instrument(batch.instrument).tick or Decimal(1)) * self.ticks
        prices = [float(Decimal(repr(price)) + step) for price in hit.price.tolist()]
        return (batch, replace(hit, price=np.array(prices, np.float64)))
