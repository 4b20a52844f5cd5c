"""How far the venue's clock is from the machine's, and how well that is known."""

from collections.abc import Sequence
from typing import NamedTuple


class Ask(NamedTuple):
    """Hold one answer: the venue told ``told`` between ``before`` and ``after`` of the machine's clock.

    All in µs; ``step`` is that of the venue's clock: it told ``told`` until so much later.
    """

    told: int
    before: int
    after: int
    step: int


class Offset(NamedTuple):
    """Say that the venue's time less the machine's is ``micros``, give or take ``uncertainty``; µs."""

    micros: int
    uncertainty: int

    @property
    def surely(self) -> int:
        """Give how far the clocks are apart at least."""
        return max(0, abs(self.micros) - self.uncertainty)


def measured(asks: Sequence[Ask]) -> Offset:
    """Give the median of what the answers tell; each tells the time in the middle of question and answer.

    Example:
        >>> measured([Ask(1_000, 900, 1_100, 0), Ask(2_000, 1_000, 5_000, 0), Ask(3_000, 2_910, 3_110, 0)])
        Offset(micros=-10, uncertainty=100)
    """
    offsets = sorted(_offset(ask) for ask in asks)
    return offsets[(len(offsets) - 1) // 2]


def _offset(ask: Ask) -> Offset:
    # It was told at one moment of [before, after], at which the venue's time was in [told, told + step].
    low, high = ask.told - ask.after, ask.told + ask.step - ask.before
    return Offset((low + high) // 2, (high - low + 1) // 2)
