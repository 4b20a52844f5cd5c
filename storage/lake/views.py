"""Candles of every timeframe, as SQL over the stored one-second and one-minute candles.

The fold is that of `core.roll_up`; a law test holds both equal.
"""

from core.candles import SUM_SCALE
from core.timeframes import BASE, MINUTE, TIMEFRAMES, Timeframe

_LATEST = """
SELECT c.instrument, c.timeframe, c.start, c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.trade_count, c.taker_buy_volume, c.complete, c.revision
FROM lake.candles c
LEFT JOIN (
    SELECT instrument, timeframe, start, max(revision) AS newest FROM lake.candles WHERE revision > 0 GROUP BY ALL
) later
ON later.instrument = c.instrument AND later.timeframe = c.timeframe AND later.start = c.start
WHERE c.revision = coalesce(later.newest, 0)
"""


def candles() -> str:
    """Give the query of the view ``candles``: all timeframes, latest revision.

    Each timeframe is a branch of its own with its name as a constant, so that a filter on ``timeframe`` leaves
    one branch before anything is read.
    """
    return " UNION ALL ".join([latest(), *(rolled(tf) for tf in TIMEFRAMES.values() if tf not in BASE)])


def latest(where: str = "true") -> str:
    """Give the query of the stored candles ``c`` that meet ``where``, each in its highest revision.

    What is revised is little, so the join's other side is small.
    """
    stored = ", ".join(f"'{tf}'" for tf in BASE)
    return f"{_LATEST} AND c.timeframe IN ({stored}) AND {where}"


def rolled(timeframe: Timeframe, where: str = "true") -> str:
    """Give the query that folds the minutes ``c`` that meet ``where`` into one larger timeframe."""
    # Months have no fixed length: Timeframe.micros is 0 for them.
    bucket = "epoch_us(date_trunc('month', start))"
    length = "epoch_us(make_timestamptz(bucket) + INTERVAL 1 MONTH) - bucket"
    if timeframe.micros:
        bucket = (
            f"(epoch_us(start) - {timeframe.shift}) // {timeframe.micros} * {timeframe.micros} + {timeframe.shift}"
        )
        length = f"{timeframe.micros}"
    sums = ", ".join(
        f"sum({name})::DECIMAL(38, {SUM_SCALE}) AS {name}" for name in ("volume", "quote_volume", "taker_buy_volume")
    )
    return f"""
SELECT instrument, '{timeframe}' AS timeframe, make_timestamptz(bucket) AS start,
       coalesce(traded_open, first_close) AS open, coalesce(traded_high, first_close) AS high,
       coalesce(traded_low, first_close) AS low, coalesce(traded_close, first_close) AS close,
       volume, quote_volume, trade_count, taker_buy_volume,
       complete AND minutes = ({length}) // {MINUTE} AS complete, revision
FROM (
    SELECT instrument, {bucket} AS bucket,
           arg_min(open, start) FILTER (trade_count > 0) AS traded_open,
           max(high) FILTER (trade_count > 0) AS traded_high,
           min(low) FILTER (trade_count > 0) AS traded_low,
           arg_max(close, start) FILTER (trade_count > 0) AS traded_close,
           arg_min(close, start) AS first_close,
           {sums}, sum(trade_count)::BIGINT AS trade_count,
           bool_and(complete) AS complete, count(*) AS minutes, max(revision) AS revision
    FROM ({_LATEST} AND c.timeframe = '1m' AND {where})
    GROUP BY instrument, bucket
)
"""  # noqa: S608 - our own text
