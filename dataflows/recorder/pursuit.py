"""A pursuit: how often a venue was asked for missing trades, what that came to, and when it is asked again."""

from dataclasses import dataclass

LONGEST_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Pursuit:
    """Hold when the next try is ``due`` (seconds of a clock that never goes back) and what the tries came to.

    The venue ``answered`` some, that it has none of the missing trades, and ``refused`` others; the rest of the
    ``tries`` nobody answered, which says nothing of the trades.
    """

    due: float
    tries: int = 0
    answered: int = 0
    refused: int = 0

    def tried(self, now: float, *, answered: bool = False, refused: bool = False) -> "Pursuit":
        """Give it after one more try that brought nothing."""
        counts = self.tries + 1, self.answered + answered, self.refused + refused
        return Pursuit(now + pause(self.tries), *counts)


def pause(tries: int) -> float:
    """Give how many seconds to wait after a try that came to nothing, and ``tries`` before it."""
    # A venue may be away for thousands of tries: such a power of 2 is no float.
    return float(min(2.0 ** min(tries, 10), LONGEST_WAIT_SECONDS))
