"""Faults of trades: ids that are skipped, and ids that are told again with another price."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated

import numpy as np
from msgspec import Meta

from core.timeframes import SECOND
from core.trades import TradeBatch
from simulator.binance.streams import speaks
from simulator.faults.fault import Effect, Fault, Stage

Count = Annotated[int, Meta(ge=1, le=100_000)]

_AHEAD = 60.0
"""Seconds from which the next trades are taken."""
_GRACE = 10.0
"""Seconds behind the last of them after which they have been sent for sure."""


class Skip(Fault, frozen=True, kw_only=True):
    """Do not tell the next ``count`` trades of each instrument on any websocket.

    Of instruments to which somebody listens, if there are any. REST serves the trades, unless ``served`` is false:
    then it never does, to no client and in no dialect.
    """

    filters = frozenset({"instruments"})
    lasting = False

    count: Count = 3
    served: bool = True

    def begin(self, stage: Stage) -> Effect:  # noqa: D102 - said above
        return _Skipping(stage, self.count, self.served)


class Conflict(Fault, frozen=True, kw_only=True):
    """Tell the next ``count`` trades of each instrument, and then each again at a price that is ``ticks`` higher."""

    filters = frozenset({"instruments"})
    lasting = False

    count: Count = 1
    ticks: Annotated[int, Meta(ge=1, le=1000)] = 7

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Conflicting(stage, self.count, self.ticks)


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


class _Chosen(Effect):
    """Deal with the next trades of each instrument: the same in every dialect, and nobody has seen them yet."""

    def __init__(self, stage: Stage, count: int) -> None:
        self.stage = stage
        exchange, names = stage.exchange, _names(stage)
        now, pace = exchange.now(), exchange.clock.speed * SECOND
        self.chosen: dict[str, TradeBatch] = {}
        for one in exchange.tape.instruments:
            if one.name.partition(":")[2] in names:
                self.chosen[one.name] = exchange.tape.from_time(one.native, now, now + int(_AHEAD * pace), count)
        last = max((int(batch.ts[-1]) for batch in self.chosen.values() if len(batch)), default=now)
        self.until = last + int(_GRACE * pace)

    def split(self, speaks: str, batch: TradeBatch) -> TradeBatch:
        """Give the trades to be dealt with, and write them down."""
        chosen = self.chosen.get(batch.instrument)
        hit = batch.take(slice(0, 0) if chosen is None else np.isin(batch.ids, chosen.ids))
        if len(hit):
            self.stage.entry.touch(speaks, batch.instrument, (hit,))
        return hit

    def tick(self, now: float) -> None:
        self.over = self.stage.exchange.now() > self.until


class _Skipping(_Chosen):
    def __init__(self, stage: Stage, count: int, served: bool) -> None:
        super().__init__(stage, count)
        for name, batch in self.chosen.items():
            if not served and len(batch):
                stage.redacted().hide(stage.instrument(name).native, batch.ids)

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        hit = self.split(speaks, batch)
        return (batch.take(~np.isin(batch.ids, hit.ids)),) if len(hit) else (batch,)


class _Conflicting(_Chosen):
    def __init__(self, stage: Stage, count: int, ticks: int) -> None:
        super().__init__(stage, count)
        self.ticks = ticks

    def trades(self, speaks: str, batch: TradeBatch) -> Sequence[TradeBatch]:
        hit = self.split(speaks, batch)
        step = (self.stage.instrument(batch.instrument).tick or Decimal(1)) * self.ticks
        prices = [float(Decimal(repr(price)) + step) for price in hit.price.tolist()]
        return (batch, replace(hit, price=np.array(prices, np.float64)))


def _names(stage: Stage) -> set[str]:
    """Give the instruments, without a venue, that are hit."""
    names = stage.named()
    return names & stage.listened() or names
