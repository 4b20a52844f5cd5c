"""Grids: the steps on which prices and sizes lie, and how many steps a value is."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from core.candle_kernel import SCALE
from core.errors import IntegrityError, UserError
from core.exact import to_integers

_WIDEST = 1e15
_COARSEST = 1_000


def finest(values: NDArray[np.float64]) -> int:
    """Give the most decimals that any value has; raise `UserError` where one is no decimal of 15 digits."""
    return int(_exact(values)[1].max(initial=0))


def step_of(decimals: int) -> Decimal:
    """Give the step of so many decimals."""
    return Decimal(1).scaleb(-decimals)


@dataclass(frozen=True, slots=True)
class Grid:
    """Count in steps, exactly; ``what`` names the values in errors.

    Raises `UserError` for a step that is not positive, or of so many digits that counting would overflow.
    """

    step: Decimal
    what: str

    def __post_init__(self) -> None:
        if self.step <= 0 or self._ratio()[0] > _COARSEST or self._ratio()[1] > SCALE:
            raise UserError(f"a {self.what} cannot have steps of {self.step}: name one like 0.01 or 5")

    def steps(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Give how many steps each value is; raise `UserError` where it is no whole number, or more than 10**15."""
        integers, scales = _exact(values)
        whole, places = self._ratio()
        self._refuse(values, values / float(self.step) > _WIDEST, "has more than 15 digits at")
        # The scales are the smallest: what has more decimals than the step is between two of them.
        self._refuse(values, scales > places, "is no multiple of")
        counts, rest = np.divmod(integers * np.uint64(10) ** (places - scales).astype(np.uint64), np.uint64(whole))
        self._refuse(values, rest > 0, "is no multiple of")
        steps: NDArray[np.int64] = counts.astype(np.int64)
        return steps

    def _refuse(self, values: NDArray[np.float64], wrong: NDArray[np.bool_], why: str) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise UserError(f"the {self.what} {float(values[rows[0]])!r} {why} steps of {self.step:f}: name others")

    def _ratio(self) -> tuple[int, int]:
        _, digits, exponent = self.step.normalize().as_tuple()
        whole = int("".join(map(str, digits)))
        return whole * 10 ** max(0, int(exponent)), max(0, -int(exponent))


def _exact(values: NDArray[np.float64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    try:
        return to_integers(values, smallest=True)
    except IntegrityError as error:
        raise UserError(f"{error}: it cannot be played exactly") from None
