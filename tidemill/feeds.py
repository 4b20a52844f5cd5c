"""The feeds of a data folder: what each records, who asked for it, and whether it is being recorded now."""

from collections.abc import Iterable, Sequence

import msgspec

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.records import Command, Kind, RecordBlock
from core.settings import FeedSettings, Settings
from core.trades import TradeBatch
from dataflows.inbox import wanted
from exchanges.decode import to_batches
from exchanges.registry import has
from exchanges.registry import venue as venue_named
from exchanges.venue import Venue
from storage.data_folder import DataFolder
from storage.journal import Journal
from storage.journal.folder import FeedFolder
from storage.journal.lease import Tenancy
from tidemill.liveness import alive, resolved, supervised
from tidemill.run_files import read

_TAIL_RECORDS = 5_000


class Recorded(msgspec.Struct, frozen=True):
    """Hold one instrument of a feed.

    ``by`` says who asked for it: the ``settings`` or a ``command``. ``recording``: somebody writes the feed now.
    ``last_offset`` is the feed's (-1: nothing yet); ``last_trade`` µs since the epoch (UTC), None where the end of
    the journal holds none of it.
    """

    feed: str
    venue: str
    instrument: str
    by: str
    recording: bool
    last_offset: int
    last_trade: int | None


def known_feeds(settings: Settings, folder: DataFolder) -> dict[str, FeedSettings]:
    """Give the feeds that run, as they run, and those of the settings beside them, by name."""
    feeds = {feed.name: feed for feed in settings.feeds}
    started = resolved(folder) if supervised(folder) else None
    return feeds | {feed.name: feed for feed in (started.feeds if started else ())}


def recording(folder: DataFolder, feed: str) -> bool:
    """Tell whether a recorder is at work on a feed, also one that has received nothing yet."""
    tenancy = Tenancy(FeedFolder(folder.journal, feed))
    try:
        tenancy.mark()
        with tenancy.vacant() as free:
            if not free:
                return True
    finally:
        tenancy.close()
    file = read(folder, "recorder")
    started = resolved(folder) if file is not None and alive(file.pid) else None
    return started is not None and any(one.name == feed for one in started.feeds)


def listed(feeds: Iterable[FeedSettings], folder: DataFolder, commands: Sequence[Command]) -> list[Recorded]:
    """Give every instrument of the feeds after all commands, feed by feed."""
    found = []
    with Journal(folder.journal) as journal:
        for feed in feeds:
            last, now = journal.last_offset(feed.name), recording(folder, feed.name)
            traded = last_trades(journal, feed)
            for name in wanted(feed, commands):
                by = "settings" if name in feed.instruments else "command"
                found.append(Recorded(feed.name, feed.dialect, name, by, now, last, traded.get(name)))
    return found


def last_trades(journal: Journal, feed: FeedSettings) -> dict[str, int]:
    """Give the time of each instrument's newest trade (µs, UTC) among the feed's last records."""
    last = journal.last_offset(feed.name)
    after = max(journal.first_offset(feed.name) - 1, last - _TAIL_RECORDS)
    venue = venue_named(feed.dialect)
    newest: dict[str, int] = {}
    while after < last and (block := journal.read(feed.name, after, _TAIL_RECORDS)) is not None:
        for batch in _trades(venue, block):
            newest[batch.instrument] = max(newest.get(batch.instrument, 0), int(batch.ts.max()))
        after = block.last_offset
    return newest


def feed_for(instrument: Instrument, feeds: dict[str, FeedSettings], named: str | None) -> FeedSettings:
    """Give the feed that an instrument belongs to: the one that is named, else the only one of its venue.

    Raise `UserError` where there is none, where there are several, or where the feed's venue has no such kind of
    instrument.
    """
    if named is not None:
        if named not in feeds:
            raise UnknownName("feed", named, feeds)
        feed = feeds[named]
        if not has(venue_named(feed.dialect), instrument):
            raise UserError(f"feed {named!r} records {feed.dialect}, which has no {instrument.name}")
        return feed
    fitting = [feed for feed in feeds.values() if has(venue_named(feed.dialect), instrument)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = " or ".join(feed.name for feed in fitting)
        raise UserError(f"{instrument.name} could come from several feeds: say --feed {names}")
    known = ", ".join(f"{feed.name} ({feed.dialect})" for feed in feeds.values()) or "none"
    raise UserError(
        f"no feed can record {instrument.name}; the feeds are {known}: add one under [[feeds]] to tidemill.toml"
    )


def _trades(venue: Venue, block: RecordBlock) -> list[TradeBatch]:
    records = list(block.records())
    frames = [record for record in records if record.kind is Kind.FRAME]
    pages = [TradeBatch.from_ipc(record.payload) for record in records if record.kind is Kind.TRADES]
    if not frames:
        return pages
    return pages + to_batches(venue, RecordBlock.of(block.feed, 0, frames)).batches
