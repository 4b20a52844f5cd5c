"""The dialects that the simulated exchange speaks beside Binance's."""

from collections.abc import Callable

from simulator.bybit.dialect import Bybit
from simulator.dialect import Dialect
from simulator.exchange import SimulatedExchange
from simulator.okx.dialect import Okx

SPOKEN: tuple[Callable[[SimulatedExchange], Dialect], ...] = (Okx, Bybit)
"""Each with its venue's own manners; their paths do not collide."""


def every(exchange: SimulatedExchange) -> list[Dialect]:
    """Give all dialects, as strict as their venues."""
    return [dialect(exchange) for dialect in SPOKEN]
