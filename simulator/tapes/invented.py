"""The tape of an invented market: without an end, remembered, drawn again block by block where it is asked for."""

import zlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from core.candles import CandleBatch
from core.errors import UserError
from core.timeframes import BASE, DAY, HOUR, MINUTE, Timeframe
from core.trades import TradeBatch
from simulator.listing import LISTINGS, MORE, Listing
from simulator.market import BLOCK, InventedMarket
from simulator.tapes import market_state
from simulator.tapes.block_log import BlockLog
from simulator.tapes.candles import folded
from simulator.tapes.drawn_block import DrawnBlock
from simulator.tapes.market_state import MarketState
from simulator.tapes.reel import Reel
from simulator.tapes.reels import Reels

CLOSED_AFTER = 3 * DAY
"""When nobody has played a market for longer than this (µs), it was closed meanwhile."""

FARTHEST = 31 * DAY
"""How far beyond what is drawn anyone may ask, µs."""

_KEPT = 1_000_000
_BATCH = 48
_BUSY = 200.0
_MINUTE = BASE[1]


class InventedTape(Reels):
    """Play an invented market from its history on; the trades of a time are the same whenever they are asked for.

    Blocks are drawn as time reaches them, and remembered by their edges and minutes: in a folder, durably before
    anybody is told of them, or in memory. The newest drawn trades (a million, and two blocks at least) stay in
    memory, others are drawn again from their edge. Not to be used by several threads at once.
    """

    def __init__(self, market: InventedMarket, state: MarketState, log: "BlockLog | list[bytes]", file: Path | None):
        self._market = market
        self._state = state
        self._log = log
        self._file = file
        self._starts, self._ends = array("q"), array("q")
        self._first_ids = [array("q") for _ in market.listings]
        self._blocks: OrderedDict[int, list[TradeBatch]] = OrderedDict()
        self._drawn_block = lru_cache(512)(lambda block: DrawnBlock.from_bytes(self._log[block]))
        for block in range(len(log)):
            self._index(self._drawn_block(block))
        reels = {one.instrument.native: _InventedReel(self, i, one) for i, one in enumerate(market.listings)}
        super().__init__([one.instrument for one in market.listings], reels, market.start, None)

    @classmethod
    def open(
        cls,
        seed: int,
        listings: Sequence[Listing] = LISTINGS + MORE,
        folder: Path | None = None,
        *,
        now: int,
        history_hours: float = 24,
        rate: float = 1.0,
    ) -> "InventedTape":
        """Open the market that ``folder`` remembers, or begin one with a history behind ``now`` (µs).

        It goes on where it was, drawn up to ``now``; when that is longer than `CLOSED_AFTER` ago (and than its
        history), it was closed meanwhile: no trades, ids and prices go on, and the history before ``now`` is drawn
        anew. ``rate`` multiplies the rates of all listings. Without a folder nothing is remembered. Raises
        `UserError` where the folder remembers another market or ``now`` lies before it, `Busy` where another
        process plays it, `IntegrityError` where its state is damaged; a damaged log is drawn again.
        """
        scaled = [replace(one, rate=one.rate * rate) for one in listings]
        # A block of a busy market is drawn in one go: a shorter one keeps that short.
        length = BLOCK if sum(one.rate for one in scaled) <= _BUSY else MINUTE
        begin = (now - int(history_hours * HOUR)) // BLOCK * BLOCK
        market = InventedMarket(seed, scaled, begin, length)
        lines = tuple(map(market_state.described, scaled))
        fresh = MarketState(seed, market.start, length, lines)
        tape = cls(market, fresh, [], None) if folder is None else cls._remembered(market, fresh, folder, now)
        try:
            tape._go_on(now, begin)
        except BaseException:
            tape.close()
            raise
        return tape

    @classmethod
    def _remembered(cls, market: InventedMarket, fresh: MarketState, folder: Path, now: int) -> "InventedTape":
        file = folder / "market.json"
        log = BlockLog(folder / "blocks")
        try:
            state = market_state.read(file)
            if state is None:
                market_state.write(file, fresh)
                state = fresh
            market_state.refuse_another(state, fresh.seed, fresh.listings, fresh.length, folder)
            if now < state.start:
                raise UserError(
                    f"the invented market of {folder} begins later than now: set the clock right, "
                    "or name another data folder"
                )
            log.load(zlib.crc32(state.market))
            return cls(InventedMarket(state.seed, market.listings, state.start, state.length), state, log, file)
        except BaseException:
            log.close()
            raise

    def close(self) -> None:
        """Let the folder go."""
        if isinstance(self._log, BlockLog):
            self._log.close()

    def reach(self, end: int) -> None:
        """Draw what is missing before ``end`` (µs); raise `UserError` where that is farther than `FARTHEST`."""
        drawn = self._ends[-1] if self._ends else self.start
        if end > drawn + FARTHEST:
            raise UserError(f"the invented market is drawn up to {drawn} µs: ask for no more than 31 days beyond")
        while end > drawn:
            blocks = min(_BATCH, -(-(end - drawn) // self._market.length))
            self._draw(blocks)
            drawn = self._ends[-1]

    def between(self, start: int, end: int) -> list[TradeBatch]:
        """Give the trades of [start, end): see `Tape`.

        The next block is drawn in the middle of this one, so that nobody waits at its edge.
        """
        self.reach(end + self._market.length // 2)
        return super().between(start, end)

    def _go_on(self, now: int, begin: int) -> None:
        # What was drawn and is lost with a damaged log may be known: it must come again as it was.
        while len(self._log) < self._state.drawn:
            self._draw(min(_BATCH, self._state.drawn - len(self._log)))
        if self._ends and now - self._ends[-1] > CLOSED_AFTER and begin > self._ends[-1]:
            closed = (*self._state.closed, (len(self._log), begin))
            self._state = self._with(closed=closed, drawn=len(self._log))
        self.reach(now)

    def _draw(self, count: int) -> None:
        """Draw blocks behind the last one; they are remembered before anybody is told of them."""
        drawn: list[DrawnBlock] = []
        for block in range(len(self._log), len(self._log) + count):
            before = drawn[-1] if drawn else self._drawn_block(block - 1) if block else None
            drawn.append(self._block_after(before, block))
        self._log.extend([one.to_bytes() for one in drawn])
        if len(self._log) > self._state.drawn:
            self._state = self._with(drawn=len(self._log))
        for one in drawn:
            self._index(one)

    def _block_after(self, before: DrawnBlock | None, block: int) -> DrawnBlock:
        start = self._state.begin(block)
        edge = self._market.opening() if before is None else before.edge(start - before.start - self._market.length)
        after, trades = self._market.draw(edge, block, start)
        end = start + self._market.length
        closes = [None] * len(trades) if before is None else [part.last_close() for part in before.parts]
        minutes = [
            folded(batch.instrument, _MINUTE, batch, start, end, close)
            for batch, close in zip(trades, closes, strict=True)
        ]
        self._keep(block, trades)
        return DrawnBlock.of(start, after, trades, minutes, closes)

    def _index(self, block: DrawnBlock) -> None:
        self._starts.append(block.start)
        self._ends.append(block.start + self._market.length)
        for ids, part in zip(self._first_ids, block.parts, strict=True):
            ids.append(part.first_id)

    def _trades(self, block: int) -> list[TradeBatch]:
        if block not in self._blocks:
            start = self._starts[block]
            edge = (
                self._market.opening()
                if block == 0
                else self._drawn_block(block - 1).edge(start - self._ends[block - 1])
            )
            self._keep(block, self._market.draw(edge, block, start)[1])
        self._blocks.move_to_end(block)
        return self._blocks[block]

    def _keep(self, block: int, trades: list[TradeBatch]) -> None:
        self._blocks[block] = trades
        while len(self._blocks) > 2 and sum(len(one) for kept in self._blocks.values() for one in kept) > _KEPT:
            self._blocks.popitem(last=False)

    def _with(self, **changes: object) -> MarketState:
        state = MarketState(**{name: getattr(self._state, name) for name in MarketState.__struct_fields__} | changes)
        if self._file is not None:
            market_state.write(self._file, state)
        return state


class _InventedReel(Reel):
    def __init__(self, tape: InventedTape, number: int, listing: Listing) -> None:
        super().__init__(listing.instrument.name, "trade")
        self._tape = tape
        self._number = number

    @property
    def starts(self) -> "array[int]":
        return self._tape._starts

    @property
    def ends(self) -> "array[int]":
        return self._tape._ends

    @property
    def first_ids(self) -> "array[int]":
        return self._tape._first_ids[self._number]

    def trades(self, block: int) -> TradeBatch:
        return self._tape._trades(block)[self._number]

    def close(self, block: int) -> float | None:
        return self._tape._drawn_block(block).parts[self._number].close

    def candles(self, block: int, base: Timeframe) -> CandleBatch:
        if base != _MINUTE:
            return super().candles(block, base)
        return self._tape._drawn_block(block).parts[self._number].candles(self.instrument)
