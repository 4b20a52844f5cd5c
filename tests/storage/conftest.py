"""A lake on a real server, empty for each test, and rows to put into it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from core.candles import CANDLES_SCHEMA, Candle
from core.settings import LedgerSettings, Settings
from core.trades import TradeBatch
from storage import lake
from storage.data_folder import DataFolder
from storage.ledger.address import Address
from storage.ledger.schema import migrate
from storage.ledger.server import serve

T = 1_723_161_600_000_000  # 2024-08-09T00:00:00Z


@pytest.fixture(scope="session")
def lake_server(tmp_path_factory) -> Iterator[Address]:
    with serve(Settings(ledger=LedgerSettings()), DataFolder(tmp_path_factory.mktemp("lake") / "data")) as address:
        connection = lake.connect(address, str(tmp_path_factory.mktemp("template")), read_only=False)
        lake.create(connection)
        connection.close()
        migrate(address)
        yield address


@pytest.fixture(scope="session")
def fresh_lake(lake_server: Address) -> Callable[..., Address]:
    """Make another database: a lake without rows, or what the template names."""
    numbers = count()

    def make(template: str = lake_server.lake_db) -> Address:
        name = f"lake_{next(numbers)}"
        with psycopg.connect(lake_server.conninfo(lake_server.ledger_db), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return replace(lake_server, lake_db=name)

    return make


@pytest.fixture
def lake_address(fresh_lake) -> Address:
    return fresh_lake()


@pytest.fixture
def lake_connect(lake_address: Address, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    opened = []

    def one(read_only: bool = False):
        opened.append(lake.connect(lake_address, str(tmp_path / "files"), read_only=read_only))
        return opened[-1]

    yield one
    for connection in opened:
        connection.close()


@pytest.fixture
def lake_connection(lake_connect):
    return lake_connect()


@pytest.fixture(scope="session")
def batch():
    """Build trades of one instrument from ids and times in µs."""

    def build(ids, ts, instrument="binance:BTC-USDT", id_space="trade") -> TradeBatch:
        n = len(ids)
        ts = np.asarray(ts, dtype=np.int64)
        numbers = np.arange(n)
        return TradeBatch(
            instrument,
            id_space,
            np.asarray(ids, dtype=np.int64),
            ts,
            ts + 1234,
            60_000 + numbers / 100,
            (numbers + 1) / 100_000,
            np.where(numbers % 2, 1, -1).astype(np.int8),
            np.ones(n, dtype=np.int32),
            np.full(n, -1, dtype=np.int64),
        )

    return build


@pytest.fixture(scope="session")
def candle():
    """Build one candle of a minute."""

    def build(start=T, revision=0, volume="1.5", **values) -> Candle:
        one = Candle(
            "binance:BTC-USDT",
            "1m",
            start,
            1.0,
            2.0,
            0.5,
            1.5,
            Decimal(volume),
            Decimal(3),
            7,
            Decimal(1),
            True,
            revision,
        )
        return replace(one, **values)

    return build


@pytest.fixture(scope="session")
def arrow():
    """Put candles into a record batch."""

    def build(*candles: Candle) -> pa.RecordBatch:
        columns = {name: [getattr(c, name) for c in candles] for name in CANDLES_SCHEMA.names}
        columns["start"] = pa.array(columns["start"], pa.int64()).cast(pa.timestamp("us", "UTC"))
        return pa.RecordBatch.from_pydict(columns, CANDLES_SCHEMA)

    return build
