"""Signals: what a strategy decided, with an id that two runs of the same decision share."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from core.timeframes import Timeframe

Side = Literal["long", "short"]


@dataclass(frozen=True, slots=True)
class Signal:
    """Hold one decision of a run.

    ``run`` is the id of the run (it covers code and parameters); ``start`` is the start of the candle that it
    was decided on, ``decided_at`` that candle's end (µs since the epoch, UTC: event time, never a clock).
    ``target`` is the exposure wanted on that side: 0 to 1 for long, -1 to 0 for short. ``price`` is the close
    that was seen.
    """

    run: str
    instrument: str
    timeframe: str
    start: int
    side: Side
    target: float
    reason: str
    price: float
    decided_at: int

    @property
    def id(self) -> str:
        """Give the hash of (run, instrument, timeframe, candle start, side): 32 hexadecimal digits."""
        text = "\x1f".join((self.run, self.instrument, self.timeframe, str(self.start), self.side))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def run_id(strategy: str, code: str, params: str, instrument: str, tf: Timeframe) -> str:
    """Give the id of a run: a hash over the strategy's name, its code, its parameters (canonical JSON), its place."""
    text = "\x1f".join((strategy, code, params, instrument, tf.name))
    return f"{strategy}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
