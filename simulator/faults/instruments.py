"""Faults of instruments: refused on subscribing, gone, or of another contract."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

from simulator.dialect import Frames
from simulator.faults.fault import Effect, Fault, Stage
from simulator.faults.listings import resized
from simulator.interference import Line, Told

Times = Annotated[float, Meta(gt=0)]


class BadTopic(Fault, frozen=True, kw_only=True):
    """Do not know an instrument when it is subscribed, and say so in the venue's own way, if it has any.

    Without ``instruments`` it is one, drawn by the seed. Subscriptions that there are go on.
    """

    filters = frozenset({"instruments", "connections", "sockets"})

    def begin(self, stage: Stage) -> Effect:  # noqa: D102 - said above
        return _Unknown(stage, _chosen(stage))


class Delist(Fault, frozen=True, kw_only=True):
    """Take an instrument off the market: nothing is told of it, subscribing and REST do not know it.

    Without ``instruments`` it is one, drawn by the seed.
    """

    filters = frozenset({"instruments"})

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Gone(stage, _chosen(stage))


class ContractSize(Fault, frozen=True, kw_only=True):
    """List instruments with a ``multiplier``, ``tick`` and ``lot`` that are so many times what they were."""

    filters = frozenset({"instruments"})

    multiplier: Times = 10.0
    tick: Times = 1.0
    lot: Times = 1.0

    def begin(self, stage: Stage) -> Effect:  # noqa: D102
        return _Resized(stage, self)


class _Listed(Effect):
    """Change what is listed, for as long as it lasts or for a moment."""

    def __init__(self, stage: Stage, chosen: set[str]) -> None:
        self.stage, self.chosen = stage, chosen
        for speaks, name in stage.listings.names():
            if self.hides(speaks, name):
                stage.entry.touch(speaks, name)

    def hides(self, speaks: str, name: str) -> bool:
        return self.stage.step.hits_dialect(speaks) and name.partition(":")[2] in self.chosen

    def change(self, speaks: str, market: Any) -> Any:
        return None if self.hides(speaks, market.instrument.name) else market


class _Unknown(_Listed):
    @contextmanager
    def hearing(self, line: Line) -> Iterator[None]:
        self.stage.entry.hit(line)
        self.stage.listings.change(self.change)
        try:
            yield
        finally:
            self.stage.listings.restore(self.change)


class _Gone(_Listed):
    def __init__(self, stage: Stage, chosen: set[str]) -> None:
        super().__init__(stage, chosen)
        stage.listings.change(self.change)

    def told(self, line: Line, told: Told, frames: Frames) -> Frames:
        if not self.hides(line.speaks, told.instrument):
            return frames
        self.stage.entry.hit(line, len(frames))
        self.stage.entry.touch(line.speaks, told.instrument, told.trades, len(frames))
        return ()

    def finish(self) -> None:
        self.stage.listings.restore(self.change)


class _Resized(Effect):
    def __init__(self, stage: Stage, fault: ContractSize) -> None:
        self.stage = stage
        self.sizes = [Decimal(repr(one)) for one in (fault.multiplier, fault.tick, fault.lot)]
        stage.listings.change(self.change)

    def change(self, speaks: str, market: Any) -> Any:
        if not self.stage.step.hits_instrument(speaks, market.instrument.name):
            return market
        self.stage.entry.touch(speaks, market.instrument.name)
        return resized(market, *self.sizes)

    def finish(self) -> None:
        self.stage.listings.restore(self.change)


def _chosen(stage: Stage) -> set[str]:
    """Give the instruments (without a venue) that are hit: one that is listened to, where the step does not say."""
    names = stage.named()
    if stage.step.instruments or not names:
        return names
    return {stage.random.choice(sorted(names & stage.listened()) or sorted(names))}
