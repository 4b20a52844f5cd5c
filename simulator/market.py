"""An invented market: trades that look like a market's, fixed by a seed."""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.timeframes import MINUTE, SECOND
from core.trades import TradeBatch
from simulator.arrivals import arrivals
from simulator.listing import LISTINGS, Listing
from simulator.orders import FILLS, Flow, fills
from simulator.volatility import COMMON, OWN, VARIANCE, season

BLOCK = 10 * MINUTE
"""The market is drawn in blocks of this length (µs), whatever is asked for: so its trades do not depend on how."""

START = 1_736_121_600_000_000
"""2025-01-06 00:00 UTC, a Monday."""

_MOVES = 4
"""Moves of the mid price a second."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Say where an instrument stands at a block's edge."""

    log_price: float
    wave: float
    flow: Flow


@dataclass(frozen=True, slots=True)
class Edge:
    """Say where the market stands at a block's edge: all that the next block is drawn from.

    ``received`` is the newest time of receipt so far (µs since the epoch, UTC).
    """

    waves: tuple[float, ...]
    paths: tuple[Standing, ...]
    received: int


class InventedMarket:
    """Invent the trades of several instruments from ``start`` (µs since the epoch, UTC) on, without an end.

    Moves are correlated by a common factor; volatility clusters and follows the hours of the day; orders
    provoke orders, come with a persistent side, in log-normal and round sizes, and sweep several makers at
    one time. It is drawn in blocks of ``length`` µs, whole seconds. Ids are contiguous from the listing's
    first. Event times are whole milliseconds, as the venue sends them. The same seed, listings, start and
    length give the same trades to the last bit (for one version of numpy on one kind of machine). Raise
    `UserError` where the arguments make no market.

    Example:
        >>> market = InventedMarket(seed=1)
        >>> sum(len(batch) for batch in market.trades(60_000_000)) > 500
        True
    """

    def __init__(
        self, seed: int, instruments: Sequence[Listing] = LISTINGS, start: int = START, length: int = BLOCK
    ) -> None:
        if seed < 0 or start < 0:
            raise UserError("the seed and the start of an invented market must not be negative")
        if length <= 0 or length % SECOND:
            raise UserError("an invented market is drawn in blocks of whole seconds")
        names = [listing.instrument.name for listing in instruments]
        if not names or len(set(names)) < len(names):
            raise UserError("an invented market needs at least one instrument, and each of them once")
        self.seed = seed
        self.listings = tuple(instruments)
        self.start = start // 1000 * 1000
        self.length = length

    def trades(self, duration: int, start: int | None = None, chunk: int = BLOCK) -> Iterator[TradeBatch]:
        """Yield the trades of [start, start + duration), chunk by chunk, in each one batch an instrument.

        All in µs; ``start`` defaults to the market's. Batches are in the order of the listings, without the
        empty ones; rows in the order of event time and id. What lies before ``start`` is drawn and dropped.
        ``received`` does not fall along (event time, order of listings, id): that is the order of arrival.
        Memory holds one block and one chunk.
        """
        start = self.start if start is None else start
        if start < self.start or duration <= 0 or chunk <= 0:
            raise UserError(f"the invented market begins at {self.start} µs; duration and chunk must be above 0")
        end = start + duration
        edge = min(start + chunk, end)
        kept: list[list[TradeBatch]] = [[] for _ in self.listings]
        for block_end, batches in self._blocks():
            if block_end <= start:
                continue
            for waiting, batch in zip(kept, batches, strict=True):
                waiting.append(batch.take(slice(int(np.searchsorted(batch.ts, start)), None)))
            while edge <= block_end:
                for waiting in kept:
                    joined = TradeBatch.concat(waiting)
                    cut = int(np.searchsorted(joined.ts, edge))
                    waiting[:] = [joined.take(slice(cut, None))]
                    if cut:
                        yield joined.take(slice(0, cut))
                if edge == end:
                    return
                edge = min(edge + chunk, end)

    def _blocks(self) -> Iterator[tuple[int, list[TradeBatch]]]:
        """Yield each block's end and its trades, one batch an instrument, empty ones too."""
        at = self.opening()
        block = 0
        while True:
            start = self.start + block * self.length
            at, batches = self.draw(at, block, start)
            yield start + self.length, batches
            block += 1

    def opening(self) -> Edge:
        """Give the edge before the first block."""
        rng = self._rng("opening", 0)
        waves = tuple(wave.first(rng) for wave in COMMON)
        paths = tuple(
            Standing(
                math.log(one.price),
                OWN.first(self._rng(f"opening {one.instrument.name}", 0)),
                Flow(one.first_id),
            )
            for one in self.listings
        )
        return Edge(waves, paths, 0)

    def draw(self, at: Edge, block: int, start: int) -> tuple[Edge, list[TradeBatch]]:
        """Draw the trades of a block, one batch a listing, empty ones too, and the edge behind it.

        ``block`` is its running number, ``start`` its time (µs), ``at`` the edge before it.
        """
        seconds = self.length // SECOND
        rng = self._rng("common", block)
        common = [wave.follow(rng, last, seconds) for wave, last in zip(COMMON, at.waves, strict=True)]
        factor = rng.standard_normal(seconds * _MOVES)
        usual = season(start + np.arange(seconds) * SECOND)
        paths, batches = [], []
        for listing, path in zip(self.listings, at.paths, strict=True):
            after, batch = self._trade(listing, path, block, start, np.sum(common, axis=0), factor, usual)
            paths.append(after)
            batches.append(batch)
        received, batches = _in_line(batches, at.received)
        return Edge(tuple(float(wave[-1]) for wave in common), tuple(paths), received), batches

    def _trade(
        self,
        listing: Listing,
        path: Standing,
        block: int,
        start: int,
        common: NDArray[np.float64],
        factor: NDArray[np.float64],
        usual: NDArray[np.float64],
    ) -> tuple[Standing, TradeBatch]:
        rng = self._rng(listing.instrument.name, block)
        own = OWN.follow(rng, path.wave, len(usual))
        swing = np.exp(common + own - VARIANCE / 2)
        volatility = listing.volatility * swing * np.sqrt(usual)
        moves = listing.beta * factor + math.sqrt(1 - listing.beta**2) * rng.standard_normal(len(factor))
        moves *= np.repeat(volatility, _MOVES) * math.sqrt(1 / (86_400 * _MOVES))
        log_price = path.log_price + np.cumsum(moves)
        mid = np.exp(np.concatenate(([path.log_price], log_price)))
        times = arrivals(rng, (listing.rate / FILLS) * swing * usual, 1.0)
        flow, batch = fills(rng, listing, path.flow, start, self.length, times, mid)
        return Standing(float(log_price[-1]), float(own[-1]), flow), batch

    def _rng(self, purpose: str, block: int) -> np.random.Generator:
        # Keyed by name and block: neither another instrument nor another length changes these draws.
        key = (zlib.crc32(purpose.encode()), block)
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))


def _in_line(batches: list[TradeBatch], last: int) -> tuple[int, list[TradeBatch]]:
    """Let no trade be received before one that stands before it: they come down one connection."""
    ts = np.concatenate([batch.ts for batch in batches])
    line = np.argsort(ts, kind="stable")
    received = np.concatenate([batch.received for batch in batches])
    received[line] = np.maximum.accumulate(np.maximum(received[line], last))
    parts = np.split(received, np.cumsum([len(batch) for batch in batches])[:-1])
    lined = [replace(batch, received=part) for batch, part in zip(batches, parts, strict=True)]
    return int(received.max(initial=last)), lined
