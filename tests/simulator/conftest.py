import pytest

from core.timeframes import HOUR
from core.trades import TradeBatch
from simulator.market import InventedMarket


def gathered(market: InventedMarket, duration: int, **how: int) -> dict[str, TradeBatch]:
    parts: dict[str, list[TradeBatch]] = {}
    for batch in market.trades(duration, **how):
        parts.setdefault(batch.instrument, []).append(batch)
    return {name: TradeBatch.concat(batches) for name, batches in parts.items()}


@pytest.fixture(scope="session")
def gather():
    return gathered


@pytest.fixture(scope="session")
def three_hours() -> dict[str, TradeBatch]:
    """The market of the default recording."""
    return gathered(InventedMarket(seed=1), 3 * HOUR)
