"""The dialects that the simulated exchange speaks beside Binance's."""

from collections.abc import Callable

from simulator.dialect import Dialect
from simulator.exchange import SimulatedExchange

SPOKEN: tuple[Callable[[SimulatedExchange], Dialect], ...] = ()
"""Each with its venue's own manners; their paths do not collide."""


def every(exchange: SimulatedExchange) -> list[Dialect]:
    """Give all dialects, as strict as their venues."""
    return [dialect(exchange) for dialect in SPOKEN]
