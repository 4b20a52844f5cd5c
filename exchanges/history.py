"""What a venue still tells of the past: trades, candles, instruments, its time."""

import asyncio
import time as clock
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument
from core.records import VenueCandles
from core.timeframes import timeframe as named
from core.trades import TradeBatch
from exchanges.bounds import FIRST_ID
from exchanges.rest import Rest
from exchanges.venue import Request, Venue

_MOST_PAGES = 100


@runtime_checkable
class TradeIdByTime(Protocol):
    """Find the first trade at or after a time, at venues that page trades by id only.

    It is asked for channels whose ids number every fill: those of the id spaces ``trade`` and ``merged``.
    """

    def first_trade_request(self, instrument: Instrument, start: int) -> Request:
        """Ask for what names that trade; ``start`` is µs since the epoch, UTC."""
        ...

    def read_first_trade(self, payload: bytes) -> int | None:
        """Read its id; None where there is none."""
        ...


@runtime_checkable
class InstrumentPages(Protocol):
    """List the instruments in several pages, each naming the next."""

    def next_instruments_request(self, payload: bytes) -> Request | None:
        """Ask for the page after this one; None where it was the last. Raise `MalformedFrame` as readers do."""
        ...


@runtime_checkable
class KlineWindows(Protocol):
    """Page candles by stretches of time, so that an empty page says nothing of what comes after it."""

    def klines_until(self, timeframe: str, start: int, end: int) -> int:
        """Give the end of what `Venue.klines_request` asks for between these times (µs since the epoch, UTC)."""
        ...


@runtime_checkable
class TradesByDay(Protocol):
    """Page older trades within one UTC day only: an empty page ends that day, and not the past."""

    def day_before(self, ts: int) -> int | None:
        """Give the last moment of the day before ``ts`` (µs since the epoch, UTC).

        With it, and the same id (0: from the end of that day), `Venue.older_trades_request` goes on. None where the
        venue goes no further back.
        """
        ...


@runtime_checkable
class CoarseTimes(Protocol):
    """Tell by REST the times of trades less exactly than over a websocket."""

    @property
    def page_step(self) -> int:
        """Give the step (µs) that some of a page's times are rounded down to."""
        ...


def page_step(venue: Venue) -> int:
    """Give the step (µs) that times of trades on a venue's pages may be rounded down to; 1 where they are not."""
    return venue.page_step if isinstance(venue, CoarseTimes) else 1


def page_time(venue: Venue, ts: int) -> int:
    """Give the time (µs) that a page tells at the earliest of a trade at ``ts``."""
    return ts - ts % page_step(venue)


def latest_time(ts: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    """Give the latest that times (µs) on a page can mean; those between two steps are not rounded."""
    return np.where(ts % step == 0, ts + (step - 1), ts)


async def time(rest: Rest, venue: Venue) -> int:
    """Give the venue's time, µs since the epoch, UTC. All functions here raise what `Rest.get` and readers raise."""
    return venue.read_time(await rest.get(venue.time_request()))


async def instruments(rest: Rest, venue: Venue) -> list[Instrument]:
    """Give the instruments that trade, once each where a page repeats one."""
    found: dict[str, Instrument] = {}
    request = venue.instruments_request()
    for _ in range(_MOST_PAGES):
        payload = await rest.get(request)
        # Megabytes at a large venue: half a second that the sockets need not wait.
        found.update({one.name: one for one in await asyncio.to_thread(venue.read_instruments, payload)})
        following = venue.next_instruments_request(payload) if isinstance(venue, InstrumentPages) else None
        if following is None:
            return list(found.values())
        request = following
    raise MalformedFrame(f"the list of instruments of {venue.name} has no end")


async def first_id(rest: Rest, venue: Venue, instrument: Instrument, channel: str, start: int) -> int | None:
    """Give the id of the first trade at or after ``start`` (µs since the epoch, UTC); None where there is none.

    At venues that page by id only, and tell no id of a time, it is sought: ids each are the one before plus 1.
    """
    if isinstance(venue, TradeIdByTime) and venue.id_space(channel) in ("trade", "merged"):
        return venue.read_first_trade(await rest.get(venue.first_trade_request(instrument, start)))
    try:
        request = venue.trades_request(instrument, channel, start=start)
    except UserError:
        if venue.id_space(channel) != "trade":
            raise
        return await _sought(rest, venue, instrument, channel, start)
    page = venue.read_trades(instrument, channel, await rest.get(request), _now())
    if page is None:
        return None
    late_enough = page.ids[page.ts >= start]
    return int(late_enough[0]) if len(late_enough) else None


async def _sought(rest: Rest, venue: Venue, instrument: Instrument, channel: str, start: int) -> int | None:
    """Look for that id backwards from the newest trade in steps that double, then by halves."""

    async def page_from(first: int | None) -> TradeBatch | None:
        payload = await rest.get(venue.trades_request(instrument, channel, first_id=first))
        return venue.read_trades(instrument, channel, payload, _now())

    page = await page_from(None)
    if page is None or page.ts[-1] < start:
        return None
    reach = len(page)
    # Trades before ``low`` are too early; from ``high`` on they are late enough, and ``found`` is the first of them.
    low, high, found = FIRST_ID, int(page.ids[-1]), int(page.ids[-1])
    while low < high:
        at, reach = max((low + high) // 2, high - reach), 2 * reach
        page = await page_from(at)
        if page is None or not (late := (page.ts >= start).nonzero()[0]).size:
            low = max(at, 0 if page is None else int(page.ids[-1])) + 1
        elif late[0] > 0:
            return int(page.ids[late[0]])
        else:
            found, high = min(found, int(page.ids[0])), min(at, int(page.ids[0]))
    return found


async def trades(
    rest: Rest,
    venue: Venue,
    instrument: Instrument,
    channel: str,
    first_id: int,
    last_id: int | None = None,
    *,
    received: Callable[[], int] | None = None,
) -> AsyncIterator[TradeBatch]:
    """Yield pages of the trades with ids from ``first_id`` to ``last_id``, both included, ascending.

    Ends at ``last_id``; without it, when caught up: at the first page that is not full. Ends also where a page
    brings nothing new. Ids that the venue does not have are passed over. ``received`` gives the time of receipt,
    µs since the epoch, UTC.
    """
    at = first_id
    while last_id is None or at <= last_id:
        request = venue.trades_request(instrument, channel, first_id=at)
        payload = await rest.get(request)
        page = venue.read_trades(instrument, channel, payload, (received or _now)())
        if page is None or page.ids[-1] < at:
            return
        new = page.take((page.ids >= at) & (page.ids <= (last_id if last_id is not None else page.ids[-1])))
        if len(new):
            yield new
        if last_id is None and len(page) < int(request.params.get("limit", 0)):
            return
        at = int(page.ids[-1]) + 1


@dataclass(frozen=True, slots=True)
class Back:
    """Hold the latest trades, read backwards: ``pages`` ascending; ``last`` is the newest time (µs).

    ``reached`` says that they go back to the time that was asked for, ``ended`` that the venue has no older ones.
    From ``whole_from`` on nothing is missing: that time, or what comes after the moment at the edge, of which there
    may be more. Of the times on the pages see `page_step`.
    """

    pages: list[TradeBatch]
    whole_from: int
    last: int
    reached: bool
    ended: bool


def trade_channel(venue: Venue, id_space: str) -> str:
    """Give the channel whose trades have ids of a space; raise `UserError` where the venue has none."""
    for channel in ("trade", "aggregate"):
        if venue.id_space(channel) == id_space:
            return channel
    raise UserError(f"{venue.name} has no trades with ids of the kind {id_space!r}")


async def latest(
    rest: Rest, venue: Venue, instrument: Instrument, id_space: str, *, received: Callable[[], int] | None = None
) -> TradeBatch | None:
    """Give the newest page of trades; None where there is no trade."""
    channel = trade_channel(venue, id_space)
    request = venue.older_trades_request(instrument, channel, None)
    if request is None:
        return None
    return venue.read_trades(instrument, channel, await rest.get(request), (received or _now)())


async def back_to(
    rest: Rest,
    venue: Venue,
    instrument: Instrument,
    id_space: str,
    start: int,
    most: int,
    *,
    received: Callable[[], int] | None = None,
) -> Back | None:
    """Read trades backwards from the newest until before ``start`` (µs), or until there are ``most``.

    None where the venue has no trade. For venues whose trades are not paged by ids that chain.
    """
    channel = trade_channel(venue, id_space)
    pages: list[TradeBatch] = []
    before: tuple[int, int] | None = None
    count, ended = 0, False
    edge = page_time(venue, start)
    while count < most and (before is None or before[1] >= edge):
        request = venue.older_trades_request(instrument, channel, before)
        if request is None:
            ended = True
            break
        page = venue.read_trades(instrument, channel, await rest.get(request), (received or _now)())
        if page is None and isinstance(venue, TradesByDay):
            day = venue.day_before(before[1] if before else (received or _now)())
            if day is not None:
                # No more trades that whole day.
                before = before[0] if before else 0, day
                continue
        oldest = None if page is None else (int(page.ids[0]), int(page.ts.min()))
        if page is None or oldest is None or oldest == before:
            ended = True
            break
        pages.append(page)
        count += len(page)
        before = oldest
    if not pages:
        return None
    pages.reverse()
    first, last = min(int(page.ts.min()) for page in pages), max(int(page.ts.max()) for page in pages)
    # With nothing older, no trade of the first moment can lie on another page.
    reached = before is not None and (before[1] < edge or (ended and first == edge))
    behind = int(latest_time(np.array(first), page_step(venue))) + 1
    return Back(pages, start if reached else behind, last, reached, ended)


async def klines(
    rest: Rest, venue: Venue, instrument: Instrument, timeframe: str, start: int, end: int
) -> VenueCandles:
    """Give the venue's closed candles that begin in [start, end), µs since the epoch, UTC.

    What is closed is said by the venue's time, asked before the candles.
    """
    length = named(timeframe)
    end = min(end, length.floor(await time(rest, venue)))
    rows, at = [], start
    while at < end:
        payload = await rest.get(venue.klines_request(instrument, timeframe, at, end))
        page = [row for row in venue.read_klines(instrument, timeframe, payload).rows if at <= row[0] < end]
        if page:
            rows += page
            at = length.end(page[-1][0])
        elif isinstance(venue, KlineWindows):
            at = venue.klines_until(timeframe, at, end)
        else:
            break
    return VenueCandles(instrument.name, timeframe, rows)


def _now() -> int:
    return clock.time_ns() // 1000
