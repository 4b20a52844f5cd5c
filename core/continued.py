"""What a continuity fold has found."""

from dataclasses import dataclass, field

from core.gaps import Coverage, Gap
from core.id_ranges import Range
from core.trades import TradeBatch


@dataclass(frozen=True, slots=True)
class Run:
    """Hold new trades with consecutive ids, and the newest ranges as they are with them."""

    trades: TradeBatch
    ranges: tuple[Range, ...]


@dataclass(slots=True)
class Continued:
    """Collect what one call of `follow`, `pass_time` or `end` found.

    ``healed`` are stretches of event time, (from, to) in µs, whose completeness may have changed; ``ranges`` are the
    newest ones where they changed without a trade. ``conflicts`` are trades whose id was another's, as far as can be
    told; ``refused`` cannot be judged.
    """

    runs: list[Run] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    healed: list[tuple[int, int]] = field(default_factory=list)
    duplicates: int = 0
    refused: TradeBatch | None = None
    conflicts: TradeBatch | None = None
    ranges: tuple[Range, ...] | None = None
