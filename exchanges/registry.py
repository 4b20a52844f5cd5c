"""The venues that are known, by name."""

from core.errors import UnknownName
from exchanges.binance import SPOT, USDM
from exchanges.venue import Venue

VENUES: dict[str, Venue] = {venue.name: venue for venue in (SPOT, USDM)}


def venue(name: str) -> Venue:
    """Look a venue up by its name; raise `UnknownName` where there is none.

    Example:
        >>> venue("binance-usdm").exchange
        'binance'
    """
    try:
        return VENUES[name]
    except KeyError:
        raise UnknownName("venue", name, VENUES) from None
