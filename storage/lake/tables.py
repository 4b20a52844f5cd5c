"""The tables of the lake that hold rows: their columns, how they are partitioned, in which order their rows stand."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from core.candles import CANDLES_SCHEMA
from core.klines import VENUE_CANDLES_SCHEMA
from core.mark_prices import MARK_PRICES_SCHEMA
from core.quotes import QUOTES_SCHEMA
from core.trades import TRADES_SCHEMA


@dataclass(frozen=True, slots=True)
class Table:
    """Describe a table: a file holds one ``partition`` of ``time``, sorted by ``names``, then ``numbers``."""

    schema: pa.Schema
    partition: Literal["day", "month"]
    time: str
    names: tuple[str, ...]
    numbers: tuple[str, ...]


TABLES = {
    "trades": Table(TRADES_SCHEMA, "day", "ts", ("instrument", "id_space"), ("ts", "trade_id")),
    "candles": Table(CANDLES_SCHEMA, "month", "start", ("timeframe", "instrument"), ("start", "revision")),
    "quotes": Table(QUOTES_SCHEMA, "day", "ts", ("instrument",), ("ts", "id")),
    "mark_prices": Table(MARK_PRICES_SCHEMA, "day", "ts", ("instrument",), ("ts",)),
    "venue_candles": Table(
        VENUE_CANDLES_SCHEMA, "month", "start", ("timeframe", "instrument"), ("start", "received")
    ),
}
