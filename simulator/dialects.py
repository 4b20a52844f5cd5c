"""The dialects that the simulated exchange speaks beside Binance's."""

from collections.abc import Callable

from simulator.bitget.dialect import Bitget
from simulator.bybit.dialect import Bybit
from simulator.deribit.dialect import Deribit
from simulator.dialect import Dialect
from simulator.exchange import SimulatedExchange
from simulator.okx.dialect import Okx
from simulator.upbit.dialect import Upbit

SPOKEN: tuple[Callable[[SimulatedExchange], Dialect], ...] = (Okx, Bybit, Deribit, Bitget, Upbit)
"""Each with its venue's own manners; their paths do not collide."""


def every(exchange: SimulatedExchange) -> list[Dialect]:
    """Give all dialects, as strict as their venues."""
    return [dialect(exchange) for dialect in SPOKEN]
