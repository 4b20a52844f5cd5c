"""What the tests of several areas share: recorded data where it is there, made-up trades where it is not."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from core.trades import TradeBatch

# A shared machine is slow at times: speed is measured in benchmarks/, not here.
settings.register_profile("tidemill", deadline=None)
settings.load_profile("tidemill")

SAMPLE = Path(os.environ.get("TIDEMILL_SAMPLE", Path(__file__).parents[2] / "shared" / "sample"))


@pytest.fixture(scope="session")
def sample() -> Path:
    """The folder of recorded market data; the test is skipped where it is not there."""
    if not SAMPLE.is_dir():
        pytest.skip(f"no recorded market data at {SAMPLE} (TIDEMILL_SAMPLE)")
    return SAMPLE


@pytest.fixture
def trades_of():
    """Build a batch from rows of (id, ts in µs, price, size, side)."""

    def build(rows: Sequence[tuple[int, int, float, float, int]], instrument: str = "binance:BTC-USDT") -> TradeBatch:
        ids, ts, price, size, side = (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 5
        return TradeBatch(
            instrument,
            "trade",
            np.array(ids, dtype=np.int64),
            np.array(ts, dtype=np.int64),
            np.array(ts, dtype=np.int64),
            np.array(price, dtype=np.float64),
            np.array(size, dtype=np.float64),
            np.array(side, dtype=np.int8),
            np.ones(len(ids), dtype=np.int32),
            np.arange(len(ids), dtype=np.int64),
        )

    return build
