"""Buy when the RSI comes back from oversold, sell when it comes back from overbought."""

import math
from typing import ClassVar, NamedTuple

from core.candles import Candle
from strategies.strategy import Decision, Strategy, param
from strategies.wilder import RsiState, rsi_start, rsi_update


class RsiMemory(NamedTuple):
    """Hold the RSI's state and its last value (NaN until there is one)."""

    rsi: RsiState
    value: float


class Rsi(Strategy[RsiMemory]):
    """Trade the crossings of Wilder's RSI of the closes.

    Crossing above ``oversold`` wants long 1 and short 0, crossing below ``overbought`` wants long 0 and
    short -1. A crossing compares the previous value with the current one: at or below the level, then above
    it (and the mirror of it). ``sides`` leaves the other side alone for ever.
    """

    name: ClassVar[str] = "rsi"
    length: int = param(14, ge=2, le=200)
    oversold: float = param(30, gt=0, lt=50)
    overbought: float = param(70, gt=50, lt=100)
    sides: str = param("both", choices=("both", "long", "short"))

    @property
    def warmup(self) -> int:
        """Give ten lengths: the seed of the averages then weighs less than e⁻⁹ in them (1 in 8,000)."""
        return 10 * self.length

    def remember(self) -> RsiMemory:
        """Give an RSI that has seen nothing."""
        return RsiMemory(rsi_start(self.length), math.nan)

    def indicators(self, memory: RsiMemory) -> dict[str, float]:
        """Give the RSI."""
        return {"rsi": memory.value}

    def decide(self, memory: RsiMemory, candle: Candle) -> tuple[RsiMemory, tuple[Decision, ...]]:
        """Move the RSI on by the close and compare it with its last value."""
        rsi, now = rsi_update(memory.rsi, candle.close)
        before = memory.value
        after = RsiMemory(rsi, now)
        if before <= self.oversold < now:
            return after, self._targets(1.0, 0.0, f"RSI({self.length}) {now:.1f} crossed above {self.oversold:g}")
        if before >= self.overbought > now:
            return after, self._targets(0.0, -1.0, f"RSI({self.length}) {now:.1f} crossed below {self.overbought:g}")
        return after, ()

    def _targets(self, long: float, short: float, reason: str) -> tuple[Decision, ...]:
        both = (Decision("long", long, reason), Decision("short", short, reason))
        return tuple(one for one in both if self.sides in ("both", one.side))
