"""Frames and recordings of an invented market, as a recorder of Binance spot would have them."""

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

from core.errors import UserError
from core.timeframes import HOUR, MINUTE
from core.trades import TradeBatch
from simulator.disturbance import NOTHING, Disturbance, Truth, disturb
from simulator.listing import LISTINGS, Listing
from simulator.market import START, InventedMarket
from simulator.wire import Frame, render


@dataclass(frozen=True, slots=True)
class Recording:
    """Say what a recording holds.

    ``lines`` counts its frames, ``trades`` the trades of each instrument that the market made (before any
    disturbance), ``truth`` what was done to them.
    """

    path: Path
    lines: int
    trades: dict[str, int]
    truth: Truth


def frames(market: InventedMarket, duration: int, start: int | None = None) -> Iterator[Frame]:
    """Yield one frame a trade of [start, start + duration) µs, in the order of event time and of receipt."""
    names = {one.instrument.name: one.instrument.native for one in market.listings}
    rank = {name: i for i, name in enumerate(names)}
    chunk: list[TradeBatch] = []
    for batch in market.trades(duration, start, MINUTE):
        # The batches of a chunk come in the order of the listings: one that does not begins the next chunk.
        if chunk and rank[batch.instrument] <= rank[chunk[-1].instrument]:
            yield from _merged(chunk, names)
            chunk = []
        chunk.append(batch)
    if chunk:
        yield from _merged(chunk, names)


def write_recording(
    path: Path, market: InventedMarket, start: int, duration: int, disturbance: Disturbance = NOTHING
) -> Recording:
    """Write the market's frames of [start, start + duration) µs as lines ``local_ns {json}``.

    gzip where the name ends in ``.gz``, else plain. The file appears under its name when all is written; the
    same arguments give the same bytes. Raise `UserError` where it cannot be written or the span is none.
    """
    truth = Truth()
    trades: Counter[str] = Counter()
    rows = disturb(_counted(frames(market, duration, start), trades), disturbance, truth)
    return Recording(path, _write(path, rows), dict(trades), truth)


def invent(
    path: Path,
    *,
    seed: int = 1,
    instruments: Sequence[Listing] = LISTINGS,
    start: int = START,
    duration: int = 3 * HOUR,
    disturbance: Disturbance = NOTHING,
) -> Recording:
    """Invent a market and record it: without further words three instruments, three hours, 345,000 trades."""
    return write_recording(path, InventedMarket(seed, instruments, start), start, duration, disturbance)


def _merged(batches: Sequence[TradeBatch], names: dict[str, str]) -> Iterator[Frame]:
    ts = np.concatenate([batch.ts for batch in batches])
    rows = [row for batch in batches for row in render(batch, names[batch.instrument])]
    for i in np.argsort(ts, kind="stable").tolist():
        yield rows[i]


def _counted(rows: Iterable[Frame], trades: Counter[str]) -> Iterator[Frame]:
    for row in rows:
        trades[row.instrument] += 1
        yield row


def _write(path: Path, rows: Iterable[Frame]) -> int:
    partial = path.with_name(f".{path.name}.partial")
    written = 0
    try:
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(partial.open("wb"))
            if path.suffix == ".gz":
                # Without name and time of writing the bytes depend on the frames alone.
                zipped = gzip.GzipFile("", "wb", 3, file, mtime=0)
                file = cast(IO[bytes], stack.enter_context(zipped))
            for row in rows:
                file.write(b"%d000 %b\n" % (row.received, row.payload))
                written += 1
        partial.replace(path)
    except OSError as error:
        raise UserError(f"cannot write the recording {path}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
    return written
