"""A recording to measure with: an invented market's frames in the journal of a data folder."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from core.records import Kind, Mark, Record
from core.timeframes import HOUR
from simulator.frames import frames
from simulator.listing import LISTINGS, Listing
from simulator.market import InventedMarket
from storage.data_folder import DataFolder
from storage.journal import Journal

FEED = "benchmark"
VENUE = LISTINGS[0].instrument.venue
GROUP = 4_096
_LONG = 10_000 * HOUR


def record(data: Path, trades: int, listings: Sequence[Listing] = LISTINGS) -> None:
    """Append ``trades`` frames and the mark of their end to the feed `FEED` of a data folder."""
    market = islice(frames(InventedMarket(1, listings), _LONG), trades)
    DataFolder(data).prepare()
    with Journal(DataFolder(data).journal) as journal:
        received = 0
        while group := [Record(Kind.FRAME, frame.received, frame.payload) for frame in islice(market, GROUP)]:
            journal.append(FEED, group)
            received = group[-1].received_at
        journal.append(FEED, [Mark("ended", cause="benchmark").record(received)])
