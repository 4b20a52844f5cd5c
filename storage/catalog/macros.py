from dataclasses import dataclass

from core.timeframes import TIMEFRAMES

_KNOWN = ", ".join(f"'{name}'" for name in TIMEFRAMES)
_UNKNOWN = f"unknown timeframe; known: {', '.join(TIMEFRAMES)}"

_CHOSEN = "candles c WHERE c.instrument = instrument AND c.timeframe = timeframe"
# The ledger knows what was recorded (a look of a millisecond); the lake also what other authors wrote. The column
# gets another name on the way, or else it would hide the argument.
_RECORDED = "instrument IN (SELECT i.name FROM ledger.public.instruments i)"
_WRITTEN = " OR ".join(
    f"EXISTS (SELECT 1 FROM (SELECT k.instrument AS written FROM lake.{table} k) w"  # noqa: S608 - our own names
    " WHERE w.written = instrument)"
    for table in ("candles", "quotes")
)
_ABSENT = "'unknown instrument ' || instrument || ': the view instruments lists the known ones'"
# Beside the candles, not a filter on them: where there are none, no filter would be asked.
_CHECK = (
    f"WHERE CASE WHEN timeframe NOT IN ({_KNOWN}) THEN error('{_UNKNOWN}')"
    f" WHEN {_RECORDED} OR {_WRITTEN} THEN false ELSE error({_ABSENT}) END"
)

# Months have no fixed length. Nothing is older than 2009, so that rounding towards zero is rounding down.
_LENGTH = " ".join(f"WHEN '{tf}' THEN {tf.micros}" for tf in TIMEFRAMES.values() if tf.micros)
_SHIFT = f"CASE timeframe WHEN '1w' THEN {TIMEFRAMES['1w'].shift} ELSE 0 END"
_BUCKET = (
    "CASE WHEN timeframe = '1M' THEN date_trunc('month', q.ts) ELSE make_timestamptz((epoch_us(q.ts) - "
    f"{_SHIFT}) // CASE timeframe {_LENGTH} END * CASE timeframe {_LENGTH} END + {_SHIFT}) END"
)

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
        # As `core.trades.TradeBatch.places` has it.
        " ORDER BY t.ts DESC, CASE WHEN t.trade_id < 0 THEN t.side * t.price END DESC, t.trade_id DESC LIMIT 1",
        (
            ("trade_id", "BIGINT", "the venue's id"),
            ("ts", "TIMESTAMP WITH TIME ZONE", "event time, UTC"),
            ("price", "DOUBLE", "in quote asset"),
            ("size", "DOUBLE", "in the instrument's own unit"),
            ("side", "TINYINT", "taker's side: +1 buy, -1 sell"),
        ),
    ),
    Macro(
        "quote_as_of(instrument, at)",
        "the last stored quote at or before a time",
        "SELECT q.ts, q.bid, q.bid_size, q.ask, q.ask_size, q.spread"
        ' FROM quotes q WHERE q.instrument = instrument AND q.ts <= CAST("at" AS TIMESTAMPTZ)'
        " ORDER BY q.ts DESC, q.id DESC LIMIT 1",
        (
            ("ts", "TIMESTAMP WITH TIME ZONE", "event time, UTC"),
            ("bid", "DOUBLE", "in quote asset; 0 where the side is empty"),
            ("bid_size", "DOUBLE", "in the instrument's own unit"),
            ("ask", "DOUBLE", "in quote asset; 0 where the side is empty"),
            ("ask_size", "DOUBLE", "in the instrument's own unit"),
            ("spread", "DOUBLE", "ask - bid; null where a side is empty"),
        ),
    ),
    Macro(
        "spread(instrument, timeframe)",
        "how wide the stored quotes of each interval were; intervals without quotes are left out",
        f"SELECT {_BUCKET} AS start, count(*) AS quotes, min(q.spread) AS narrowest,"  # noqa: S608
        " avg(q.spread) AS mean, max(q.spread) AS widest,"
        " avg(q.spread / ((q.bid + q.ask) / 2)) AS relative"
        " FROM quotes q WHERE q.instrument = instrument AND q.spread IS NOT NULL GROUP BY ALL"
        f" UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL {_CHECK} ORDER BY start",
        (
            ("start", "TIMESTAMP WITH TIME ZONE", "start of the interval, UTC"),
            ("quotes", "BIGINT", "number of stored quotes with both sides"),
            ("narrowest", "DOUBLE", "smallest ask - bid, in quote asset"),
            ("mean", "DOUBLE", "mean ask - bid over the quotes"),
            ("widest", "DOUBLE", "largest ask - bid"),
            ("relative", "DOUBLE", "mean of (ask - bid) / mid; 0.0001 is one basis point"),
        ),
    ),
)
