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
        async for page in _by_id(rest, source, gap, first, last):
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


async def _by_id(rest: Rest, source: Source, gap: Gap, first: int, last: int) -> AsyncIterator[TradeBatch]:
    venue, instrument, channel = source.venue, source.instrument, source.channel
    at = first
    async for page in history.trades(rest, venue, instrument, channel, first, last):
        yield page
        at = int(page.ids[-1]) + 1
    if at > last:
        return
    # Where a page is a window of ids, one that lacks them all says nothing of the next: met from the other end.
    before = last + 1, gap.before_ts
    request = venue.older_trades_request(instrument, channel, before)
    if request is None:
        await _confirm(rest, source, at, last)
    while request is not None:
        older = venue.read_trades(instrument, channel, await rest.get(request), wall_clock())
        if older is None or int(older.ids[-1]) < at:
            return
        yield older.take((older.ids >= at) & (older.ids <= last))
        oldest = int(older.ids[0]), int(older.ts.min())
        if oldest[0] <= at or oldest == before:
            return
        before = oldest
        request = venue.older_trades_request(instrument, channel, before)


async def _confirm(rest: Rest, source: Source, at: int, last: int) -> None:
    """Raise `VenueError` where the venue has nothing at all from an id on, and yet trades behind the gap."""
    for first in (at, None):
        request = source.venue.trades_request(source.instrument, source.channel, first_id=first)
        page = source.venue.read_trades(source.instrument, source.channel, await rest.get(request), wall_clock())
        if page is not None and int(page.ids[-1]) > last:
            if first is None:
                raise VenueError(f"{source.venue.name} gives no trades from id {at} on, though it has later ones")
            return


def _of_gap(gap: Gap, page: TradeBatch) -> TradeBatch:
    """Refuse trades of another time: under these ids the venue knows another market than the recorded one."""
    if len(page) and not gap.after_ts - _ASIDE <= int(page.ts.min()) <= int(page.ts.max()) <= gap.before_ts + AHEAD:
        raise VenueError(
            f"it gives trades of another time for the ids {page.ids[0]} to {page.ids[-1]}: is that the same market?"
        )
    return page
