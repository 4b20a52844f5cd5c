"""The past of an instrument that was never recorded: the venue's candles, then its latest trades."""

from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from core.continuity_in_time import SPACE
from core.errors import UserError
from core.instruments import Instrument
from core.records import Kind, Record, Reread
from core.timeframes import DAY, MINUTE, timeframe
from core.trades import TradeBatch
from exchanges import history
from exchanges.rest import Rest
from exchanges.venue import Venue

_log = structlog.get_logger(__name__)

_LONGEST_MONTH = 31 * DAY


async def past(
    rest: Rest,
    venue: Venue,
    instrument: Instrument,
    channels: Sequence[str],
    candles: Sequence[tuple[str, int]],
    minutes: int,
    most: int,
    now: Callable[[], int],
    age: int = 0,
    first_known: Callable[[str], int | None] = lambda channel: None,
    unknown: Callable[[TradeBatch], TradeBatch] = lambda trades: trades,
) -> AsyncIterator[Record]:
    """Yield what an instrument did before it is recorded, in order, up to the venue's present.

    First the venue's closed ``candles``: of each timeframe as many as wanted that begin before the trades do, and
    those since. Then the trades of the last ``minutes``, from a whole minute on, of each of ``channels`` (``trade``,
    ``aggregate``); of more than ``most`` the latest. Where that is no trade at all, the newest of all time: what is
    missed later is known by its id. ``now`` gives the time of receipt (µs since the epoch, UTC). Where it has been
    recorded for ``age`` µs already, ``first_known`` gives the first id of a channel: what is older is yielded. Where
    ids do not chain, of each page what ``unknown`` gives of it. Raises what REST raises: `TransientError`,
    `VenueError`.
    """
    present = await history.time(rest, venue) - age
    start = (present - minutes * MINUTE) // MINUTE * MINUTE
    async for record in candles_before(rest, venue, instrument, candles, start, present, now):
        yield record
    for channel in channels:
        if venue.id_space(channel) == SPACE:
            async for record in _latest(rest, venue, instrument, start, most, now, unknown):
                yield record
            continue
        page = await rest.get(venue.trades_request(instrument, channel))
        newest = venue.read_trades(instrument, channel, page, now())
        if newest is None:
            continue
        first = await history.first_id(rest, venue, instrument, channel, start) if minutes and most else None
        if first is None:
            yield Record(Kind.TRADES, now(), newest.take(slice(-1, None)).to_ipc())
            continue
        known = first_known(channel)
        latest = (int(newest.ids.max()) + 1 if known is None else known) - most
        if latest > first:
            _log.warning("past_shortened", instrument=instrument.name, trades=most)
        wanted = max(first, latest), None if known is None else known - 1
        async for trades in history.trades(rest, venue, instrument, channel, *wanted, received=now):
            yield Record(Kind.TRADES, now(), trades.to_ipc())


async def _latest(
    rest: Rest,
    venue: Venue,
    instrument: Instrument,
    start: int,
    most: int,
    now: Callable[[], int],
    unknown: Callable[[TradeBatch], TradeBatch],
) -> AsyncIterator[Record]:
    """Yield the latest trades since ``start`` where ids do not chain, and that nothing is missing between them."""
    found = await history.back_to(rest, venue, instrument, SPACE, start, max(most, 1), received=now)
    if found is None:
        return
    for page in found.pages:
        late = page.take(page.ts >= start)
        if len(late) == 0 and page is found.pages[-1]:
            late = page.take(slice(-1, None))
        late = unknown(late)
        if len(late):
            yield Record(Kind.TRADES, now(), late.to_ipc())
    if found.whole_from <= found.last:
        yield Reread(instrument.name, SPACE, found.whole_from, found.last, "closed").record(now())


async def candles_before(
    rest: Rest,
    venue: Venue,
    instrument: Instrument,
    candles: Sequence[tuple[str, int]],
    start: int,
    present: int,
    now: Callable[[], int],
) -> AsyncIterator[Record]:
    """Yield the venue's closed candles: of each timeframe as many as wanted before ``start``, and those since.

    Times in µs since the epoch, UTC. Raises what REST raises.
    """
    for name, count in candles:
        tf = timeframe(name)
        begin = tf.floor(start) - count * (tf.micros or _LONGEST_MONTH)
        try:
            told = await history.klines(rest, venue, instrument, name, begin, present)
        except UserError as error:
            _log.warning("no_venue_candles", instrument=instrument.name, timeframe=name, why=str(error))
            continue
        if told.rows:
            yield told.record(now())
