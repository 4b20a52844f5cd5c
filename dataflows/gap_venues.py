"""Which venue, at which address, is asked for what is missing of an instrument."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.errors import UnknownName, UserError
from core.instruments import Instrument
from core.records import Command
from core.settings import FeedSettings
from dataflows.inbox import wanted
from exchanges import history
from exchanges.registry import VENUES
from exchanges.registry import venue as venue_named
from exchanges.venue import Venue


@dataclass(frozen=True, slots=True)
class Source:
    """Name who is asked: the venue at its address, and the channel whose trades have the ids that are missing."""

    venue: Venue
    instrument: Instrument
    channel: str


def source_of(
    name: str, id_space: str, feeds: Sequence[FeedSettings], commands: Sequence[Command], recorded: Iterable[str]
) -> Source:
    """Give who is asked for an instrument's trades of an id space.

    The first that has them of: the feeds that record the instrument after all ``commands``, the other ``feeds``
    (both at the addresses that they name), the venues that were ever ``recorded``, and all venues that are known.
    Raises `UserError` where none has them.
    """
    instrument = Instrument.parse(name)
    why: UserError | None = None
    for venue in _candidates(name, feeds, commands, recorded):
        if venue.exchange != instrument.venue:
            continue
        try:
            venue.native(instrument)
            return Source(venue, instrument, history.trade_channel(venue, id_space))
        except UserError as error:
            why = why or error
    raise why or UserError(f"no venue that is known here has {name}")


def _candidates(
    name: str, feeds: Sequence[FeedSettings], commands: Sequence[Command], recorded: Iterable[str]
) -> Iterator[Venue]:
    for feed in sorted(feeds, key=lambda one: name not in wanted(one, commands)):
        yield venue_named(feed.dialect, feed.websocket_url, feed.rest_url)
    for known in dict.fromkeys([*recorded, *VENUES]):
        try:
            venue = venue_named(known)
        except UnknownName:
            # Of a version that knew more venues.
            continue
        yield venue
