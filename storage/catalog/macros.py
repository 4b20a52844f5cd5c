from dataclasses import dataclass

from core.timeframes import TIMEFRAMES

_KNOWN = ", ".join(f"'{name}'" for name in TIMEFRAMES)
_UNKNOWN = f"unknown timeframe; known: {', '.join(TIMEFRAMES)}"

_CHOSEN = "candles c WHERE c.instrument = instrument AND c.timeframe = timeframe"
# Beside the candles, not a filter on them: where there are none, no filter would be asked.
_CHECK = f"WHERE CASE WHEN timeframe IN ({_KNOWN}) THEN false ELSE error('{_UNKNOWN}') END"

_START = ("start", "TIMESTAMP WITH TIME ZONE", "start of the candle, UTC")


@dataclass(frozen=True, slots=True)
class Macro:
    """Name a table macro: how it is called, what it answers, the query, and (name, type, comment) of its columns."""

    signature: str
    comment: str
    query: str
    columns: tuple[tuple[str, str, str], ...]


MACROS = (
    Macro(
        "ohlcv(instrument, timeframe)",
        "candles of an instrument in order of start, as charts want them",
        f"SELECT c.start, c.open, c.high, c.low, c.close, c.volume FROM {_CHOSEN}"  # noqa: S608
        f" UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL {_CHECK} ORDER BY start",
        (
            _START,
            ("open", "DOUBLE", "price of the first trade"),
            ("high", "DOUBLE", "highest price"),
            ("low", "DOUBLE", "lowest price"),
            ("close", "DOUBLE", "price of the last trade"),
            ("volume", "DECIMAL(38,18)", "traded size, in the instrument's own unit"),
        ),
    ),
    Macro(
        "vwap(instrument, timeframe)",
        "volume-weighted average price of each candle; null without trades",
        "SELECT c.start, c.quote_volume::DOUBLE / nullif(c.volume::DOUBLE, 0) AS vwap, c.volume"  # noqa: S608
        f" FROM {_CHOSEN} UNION ALL SELECT NULL, NULL, NULL {_CHECK} ORDER BY start",
        (
            _START,
            ("vwap", "DOUBLE", "quote_volume / volume, in quote asset per unit of size"),
            ("volume", "DECIMAL(38,18)", "traded size, in the instrument's own unit"),
        ),
    ),
    Macro(
        "returns(instrument, timeframe)",
        "change from each close to the next; null for the first candle",
        "SELECT c.start, c.close, c.close / lag(c.close) OVER w - 1 AS simple_return,"  # noqa: S608
        " ln(c.close / lag(c.close) OVER w) AS log_return"
        f" FROM {_CHOSEN} WINDOW w AS (ORDER BY c.start)"
        f" UNION ALL SELECT NULL, NULL, NULL, NULL {_CHECK} ORDER BY start",
        (
            _START,
            ("close", "DOUBLE", "price of the last trade"),
            ("simple_return", "DOUBLE", "close / previous close - 1; 0.01 is one per cent up"),
            ("log_return", "DOUBLE", "natural logarithm of close / previous close"),
        ),
    ),
    Macro(
        "as_of(instrument, at)",
        "the last trade at or before a time",
        "SELECT t.trade_id, t.ts, t.price, t.size, t.side"
        ' FROM trades t WHERE t.instrument = instrument AND t.ts <= CAST("at" AS TIMESTAMPTZ)'
        " ORDER BY t.ts DESC, t.trade_id DESC LIMIT 1",
        (
            ("trade_id", "BIGINT", "the venue's id"),
            ("ts", "TIMESTAMP WITH TIME ZONE", "event time, UTC"),
            ("price", "DOUBLE", "in quote asset"),
            ("size", "DOUBLE", "in the instrument's own unit"),
            ("side", "TINYINT", "taker's side: +1 buy, -1 sell"),
        ),
    ),
)
