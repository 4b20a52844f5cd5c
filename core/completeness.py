"""One face for the two continuity folds: by ids where they chain, by time where they do not."""

from typing import TypeAlias

from core import continuity, continuity_in_time
from core.continued import Continued
from core.continuity import Continuity
from core.continuity_in_time import SPACE, ContinuityInTime
from core.records import Mark, Reread
from core.trades import TradeBatch

Known: TypeAlias = Continuity | ContinuityInTime
"""What is known of one instrument's trades; which of the two follows from their id space."""


def begun(instrument: str, id_space: str, lateness: int) -> Known:
    """Begin with nothing; ``lateness`` is in µs."""
    if id_space == SPACE:
        return ContinuityInTime(instrument, lateness)
    return Continuity(instrument, id_space, lateness)


def follow(state: Known, trades: TradeBatch, *, live: bool) -> tuple[Known, Continued]:
    """Take trades in order of arrival; ``live`` ones came over a connection."""
    if isinstance(state, ContinuityInTime):
        return continuity_in_time.follow(state, trades, live=live)
    return continuity.follow(state, trades)


def pass_time(state: Known, venue_time: int) -> tuple[Known, Continued]:
    """Let venue time pass (µs since the epoch, UTC)."""
    if isinstance(state, ContinuityInTime):
        return continuity_in_time.pass_time(state, venue_time)
    return continuity.pass_time(state, venue_time)


def mark(state: Known, told: Mark) -> tuple[Known, Continued]:
    """Take what happened to the connection that carries the instrument, or the end of a recording."""
    if isinstance(state, ContinuityInTime):
        return continuity_in_time.mark(state, told)
    if told.mark == "ended":
        return continuity.end(state)
    # Where ids chain, a connection that was lost shows in the ids.
    return continuity.mark(state, told), Continued()


def reread(state: Known, told: Reread) -> tuple[Known, Continued]:
    """Take what asking the venue again came to."""
    if isinstance(state, ContinuityInTime):
        return continuity_in_time.reread(state, told)
    return continuity.reread(state, told)
