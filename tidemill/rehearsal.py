"""A rehearsal: the live path at work in a folder that is thrown away."""

from collections.abc import Iterator
from pathlib import Path

from core.records import Kind, Record
from core.settings import Settings
from core.timeframes import MINUTE
from dataflows.recording import Recording
from dataflows.replay import play
from simulator.frames import frames
from simulator.market import InventedMarket


def rehearse(data: Path, minutes: int = 2) -> tuple[int, int]:
    """Play some minutes of an invented market into a new data folder; give the trades invented and stored."""
    market = InventedMarket(seed=1)
    total = sum(len(batch) for batch in market.trades(minutes * MINUTE))

    def records() -> Iterator[Record]:
        for frame in frames(market, minutes * MINUTE):
            yield Record(Kind.FRAME, frame.received, frame.payload)

    summary = play(Settings(data=data), Recording("a rehearsal", "rehearsal", "simulated", records, total))
    return total, summary.stored
