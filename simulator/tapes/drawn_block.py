"""A drawn block: what is remembered of ten minutes of an invented market, so that it can be drawn again alone."""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from core.candles import CandleBatch
from core.trades import TradeBatch
from simulator.market import Edge, Standing
from simulator.orders import Flow

_MINUTE = np.dtype(
    [
        ("start", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("volume", "<u8", (2,)),
        ("quote_volume", "<u8", (2,)),
        ("trade_count", "<i8"),
        ("taker_buy_volume", "<u8", (2,)),
    ]
)


class DrawnPart(msgspec.Struct, array_like=True, frozen=True):
    """Hold one instrument's part: ``first_id`` and the ``close`` before the block, its minutes, and where it ends."""

    first_id: int
    close: float | None
    minutes: bytes
    log_price: float
    wave: float
    next_id: int
    side: int
    waiting: bytes

    def candles(self, instrument: str) -> CandleBatch:
        """Give the block's candles of one minute."""
        rows = np.frombuffer(self.minutes, dtype=_MINUTE)
        columns: dict[str, Any] = {name: rows[name].copy() for name in _MINUTE.names or ()}
        columns |= {"complete": np.zeros(len(rows), dtype=np.bool_), "offset": np.full(len(rows), -1, dtype=np.int64)}
        return CandleBatch(instrument=instrument, timeframe="1m", **columns)

    def last_close(self) -> float | None:
        """Give the price at the block's end."""
        rows = np.frombuffer(self.minutes, dtype=_MINUTE)
        return float(rows["close"][-1]) if len(rows) else self.close


class DrawnBlock(msgspec.Struct, array_like=True, frozen=True):
    """Hold a block: when it begins (µs since the epoch, UTC), its parts, and the market's edge behind it."""

    start: int
    waves: tuple[float, ...]
    received: int
    parts: tuple[DrawnPart, ...]

    @classmethod
    def of(
        cls,
        start: int,
        after: Edge,
        trades: Sequence[TradeBatch],
        minutes: Sequence[CandleBatch],
        closes: Sequence[float | None],
    ) -> "DrawnBlock":
        """Put a block together; all in the order of the listings, ``closes`` are the prices before it."""
        parts = [
            DrawnPart(
                path.flow.next_id - len(batch),
                close,
                _rows(candles),
                path.log_price,
                path.wave,
                path.flow.next_id,
                path.flow.side,
                path.flow.waiting.tobytes(),
            )
            for path, batch, candles, close in zip(after.paths, trades, minutes, closes, strict=True)
        ]
        return cls(start, after.waves, after.received, tuple(parts))

    def edge(self, pause: int) -> Edge:
        """Give the edge from which the next block is drawn; ``pause`` µs after this block the market opens."""
        paths = []
        for part in self.parts:
            # Orders that were already provoked wait until the market opens.
            waiting = np.frombuffer(part.waiting, dtype=np.int64) + pause
            paths.append(Standing(part.log_price, part.wave, Flow(part.next_id, part.side, waiting)))
        return Edge(self.waves, tuple(paths), self.received)

    def to_bytes(self) -> bytes:
        """Write the block."""
        return zlib.compress(msgspec.msgpack.encode(self), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "DrawnBlock":
        """Read what `to_bytes` wrote."""
        return msgspec.msgpack.decode(zlib.decompress(data), type=cls)


def _rows(candles: CandleBatch) -> bytes:
    rows = np.empty(len(candles), dtype=_MINUTE)
    for name in _MINUTE.names or ():
        rows[name] = getattr(candles, name)
    return rows.tobytes()
