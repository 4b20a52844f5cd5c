"""Older trades from an exchange that pages forwards in time, or perhaps does not page at all."""

from collections.abc import Awaitable, Callable

from exchanges.ccxt_frames import Row, checked

MOST_PAGES = 30
"""So many pages are asked for to go back once."""

_FIRST_SPAN = 60_000
_LONGEST_SPAN = 7 * 86_400_000
_WIDER = 8

Page = Callable[[int], Awaitable[list[Row]]]
"""Gives trades from a time on (ms since the epoch, UTC), ascending: the first ones, or whichever the venue gives."""


async def older(page: Page, anchor: tuple[int, int]) -> list[Row]:
    """Give a stretch of trades that ends with ``anchor`` (id, µs since the epoch, UTC), without it, ascending.

    Nothing is missing from it: every page holds the last trade of the page before it, and the last page the anchor.
    None where the exchange gives nothing older, or pages in another way. Some of the anchor's millisecond may be
    younger than the anchor.
    """
    number, until = anchor[0], anchor[1] // 1000
    span, left = _FIRST_SPAN, MOST_PAGES
    while left > 0 and span <= _LONGEST_SPAN:
        found, left, reached = await _chain(page, until - span, number, until, left)
        if found is None:
            if reached is None:
                return []
            # So busy that it takes too many pages: a stretch that takes half of what is left.
            span = (reached - until + span) * left // 2
            if span < 1:
                return []
            continue
        if any(row.timestamp < until for row in found):
            return found
        span *= _WIDER
    return []


async def _chain(
    page: Page, since: int, number: int, until: int, left: int
) -> tuple[list[Row] | None, int, int | None]:
    """Read on until the anchor; give the trades before it, how many pages are left, and how far the first one went.

    No trades and no such time: the pages do not lead there.
    """
    found: dict[int, Row] = {}
    at, last = since, None
    while left > 0:
        left -= 1
        rows = {checked(row)[0]: row for row in await page(at)}
        if last is not None and last not in rows:
            return None, left, None
        found |= rows
        if number in rows:
            return [row for one, row in found.items() if row.timestamp <= until and one != number], left, None
        reached = max((row.timestamp for row in rows.values()), default=at)
        if reached <= at or reached >= until:
            return None, left, None
        if at == since and (until - since) > (reached - since) * left:
            return None, left, reached
        at, last = reached, list(rows)[-1]
    return None, 0, None
