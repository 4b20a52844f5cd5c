import gzip
import os
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from core.candles import Candle
from core.timeframes import MINUTE

SAMPLE = Path(os.environ.get("TIDEMILL_SAMPLE", Path(__file__).parents[3] / "shared" / "sample"))


@pytest.fixture(scope="session")
def candles() -> Callable[..., list[Candle]]:
    def build(closes: Sequence[float], complete: Sequence[bool] | None = None) -> list[Candle]:
        proven = complete or [True] * len(closes)
        volume = Decimal(1)
        return [
            Candle("binance:BTC-USDT", "1m", i * MINUTE, x, x, x, x, volume, volume, 1, volume, proven[i])
            for i, x in enumerate(closes)
        ]

    return build


@pytest.fixture(scope="session")
def real_closes() -> NDArray[np.float64]:
    """Closes of the seconds that had trades in ten minutes of BTCUSDT."""
    files = sorted((SAMPLE / "trades").glob("binance_spot_btcusdt_*.ws.gz"))
    if not files:
        pytest.skip("the recorded market data is not here: set TIDEMILL_SAMPLE")
    last: dict[int, float] = {}
    for path in files:
        with gzip.open(path) as lines:
            for line in lines:
                if b'"btcusdt@trade"' in line:
                    data = msgspec.json.decode(line.partition(b" ")[2])["data"]
                    last[data["T"] // 1000] = float(data["p"])
    return np.array([last[second] for second in sorted(last)])
