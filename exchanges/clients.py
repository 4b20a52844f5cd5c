"""Who asks a venue and who connects to it: our own clients, or one that the venue brings."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from exchanges.budgets import Budgets
from exchanges.carrier import Carrier, Dial
from exchanges.dial import connect
from exchanges.rest import Rest
from exchanges.venue import Venue


@runtime_checkable
class BringsClient(Protocol):
    """Speak to a venue through a library of its own, whose requests and addresses mean nothing to ours."""

    def rest(self, budgets: Budgets | None, timeout: float | None) -> Rest:
        """Give what answers `Venue`'s requests, within the budgets; ``timeout`` is seconds for one."""
        ...

    def dialer(self, rest: Rest) -> Dial:
        """Give what opens `Venue`'s connections."""
        ...


def rest_of(venue: Venue, *, budgets: Budgets | None = None, timeout: float | None = None) -> Rest:
    """Give the client for a venue's REST interface; raise as `Rest`."""
    if isinstance(venue, BringsClient):
        return venue.rest(budgets, timeout)
    return Rest(venue, budgets=budgets, timeout=timeout)


def asked_by(venue: Venue) -> tuple[str, str]:
    """Give what venues have in common that may share one client: who is asked, in whose way, and where."""
    return venue.name if isinstance(venue, BringsClient) else venue.exchange, venue.rest_url


def dialer_of(venue: Venue, rest: Rest) -> Dial:
    """Give what opens a venue's connections; ``rest`` is a client of `rest_of` for the same venue."""
    return venue.dialer(rest) if isinstance(venue, BringsClient) else websockets_to(venue)


def websockets_to(venue: Venue) -> Dial:
    """Give what opens websockets of our own to a venue."""

    async def dial(url: str, streams: tuple[str, ...], arrived: Callable[[], None], timeout: float) -> Carrier:
        return await connect(url, venue.limits, arrived, timeout)

    return dial
