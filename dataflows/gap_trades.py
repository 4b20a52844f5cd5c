"""Asking a venue for missing trades: all that it has of them, or the reason why it does not say."""

from collections.abc import AsyncIterator, Callable

from core.errors import TransientError, UserError, VenueError
from core.gaps import Gap
from core.timeframes import MINUTE, SECOND
from core.trades import TradeBatch
from dataflows.gap_venues import Source
from dataflows.recorder.clock import wall_clock
from exchanges import history
from exchanges.rest import Rest
from exchanges.trades_by_id import trades_by_id

MOST_BACK = 3_000_000
"""Where ids do not chain a venue is read backwards from now: so many trades at most, which are held meanwhile."""

AHEAD = SECOND
_ASIDE = MINUTE


class Unanswered(TransientError):  # noqa: N818 - a state of affairs
    """Report that a venue was asked and did not say what it has; ``wait`` seconds before it is asked again.

    ``wait`` is 0 where asking again at once makes sense, None where it does not make sense at all.
    """

    def __init__(self, why: str, wait: float | None) -> None:
        super().__init__(why)
        self.wait = wait


async def by_id(rest: Rest, source: Source, gap: Gap, first: int, last: int) -> AsyncIterator[TradeBatch]:
    """Yield what the venue has of the ids ``first`` to ``last`` of a gap, page by page, in no certain order.

    When it ends, the venue has no more of them. Raises `Unanswered` where that cannot be said.
    """
    try:
        wanted = source.venue, source.instrument, source.channel, first, last
        async for page in trades_by_id(rest, *wanted, received=wall_clock):
            yield _of_gap(gap, page)
    except (TransientError, VenueError, UserError) as error:
        raise unanswered(error) from error


async def back_to(rest: Rest, source: Source, gap: Gap, received: Callable[[], int]) -> history.Back | None:
    """Read backwards to the begin of a gap, where ids do not chain; None where the venue has no trade at all.

    Raises `Unanswered`.
    """
    wanted = source.venue, source.instrument, gap.id_space, gap.after_ts, MOST_BACK
    try:
        return await history.back_to(rest, *wanted, received=received)
    except (TransientError, VenueError, UserError) as error:
        raise unanswered(error) from error


def unanswered(error: TransientError | VenueError | UserError) -> Unanswered:
    """Give what an error says about asking again."""
    if isinstance(error, Unanswered):
        return error
    passing = isinstance(error, TransientError)
    return Unanswered(str(error), float(getattr(error, "retry_after", 0.0)) if passing else None)


def _of_gap(gap: Gap, page: TradeBatch) -> TradeBatch:
    """Refuse trades of another time: under these ids the venue knows another market than the recorded one."""
    if not gap.after_ts - _ASIDE <= int(page.ts.min()) <= int(page.ts.max()) <= gap.before_ts + AHEAD:
        raise VenueError(
            f"it gives trades of another time for the ids {page.ids[0]} to {page.ids[-1]}: is that the same market?"
        )
    return page
