"""Trades with certain ids, where ids chain: all that a venue has of them, asked for from both ends."""

from collections.abc import AsyncIterator, Callable

from core.errors import TransientError, VenueError
from core.instruments import Instrument
from core.trades import TradeBatch
from exchanges.rest import Rest
from exchanges.venue import Request, Venue


async def trades_by_id(
    rest: Rest,
    venue: Venue,
    instrument: Instrument,
    channel: str,
    first: int,
    last: int,
    *,
    received: Callable[[], int],
) -> AsyncIterator[TradeBatch]:
    """Yield what the venue has of the ids ``first`` to ``last``, both included: each once, pages in no certain order.

    When it ends, the venue has no more of them. Raises `TransientError` where the venue is not as far as ``last``
    yet, `VenueError` where it contradicts itself, and what `Rest.get` and readers raise; what came before it is
    good. ``received`` gives the time of receipt, µs since the epoch, UTC.
    """

    async def answer(request: Request) -> TradeBatch | None:
        return venue.read_trades(instrument, channel, await rest.get(request), received())

    at = first
    while at <= last:
        page = await answer(venue.trades_request(instrument, channel, first_id=at))
        if page is None or page.ids[-1] < at:
            break
        new = page.take((page.ids >= at) & (page.ids <= last))
        if len(new):
            yield new
        at = int(page.ids[-1]) + 1
    if at > last:
        return
    # At OKX and Coinbase a page is a window of ids: one that lacks them all says nothing of the next.
    newest = await answer(venue.trades_request(instrument, channel))
    if newest is not None and newest.ids[-1] <= last:
        raise TransientError(f"{venue.name} has trades up to id {newest.ids[-1]} only: ask again later for {last}")
    # Where ids chain, pages go by them: the time is not looked at.
    before = last + 1, received()
    request = venue.older_trades_request(instrument, channel, before)
    if request is None and newest is not None:
        raise VenueError(f"{venue.name} gives no trades from id {at} on, though it has later ones")
    while request is not None:
        older = await answer(request)
        if older is None or older.ids[-1] < at:
            return
        if older.ids[-1] >= before[0]:
            raise VenueError(
                f"{venue.name} gives trade {older.ids[-1]} where those before {before[0]} were asked for"
            )
        yield older.take(older.ids >= at)
        before = int(older.ids[0]), int(older.ts.min())
        request = venue.older_trades_request(instrument, channel, before) if before[0] > at else None
