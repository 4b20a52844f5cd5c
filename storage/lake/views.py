"""Candles of every timeframe, as SQL over the stored one-second and one-minute candles.

The fold is that of `core.roll_up`; a law test holds both equal.
"""

from core.timeframes import MINUTE, TIMEFRAMES

SUMS = ("volume", "quote_volume", "trade_count", "taker_buy_volume")

LATEST = """
SELECT c.instrument, c.timeframe, c.start, c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.trade_count, c.taker_buy_volume, c.complete, c.revision
FROM lake.candles c
ANTI JOIN (SELECT instrument, timeframe, start, revision FROM lake.candles WHERE revision > 0) later
ON later.instrument = c.instrument AND later.timeframe = c.timeframe AND later.start = c.start
   AND later.revision > c.revision
"""
"""Each stored candle in its highest revision: what is revised is little, so the join's one side is small."""


def candles() -> str:
    """Give the query of the view ``candles``: all timeframes, latest revision."""
    return f"{LATEST} UNION ALL BY NAME {rolled(_folded_timeframes())}"  # noqa: S608 - our own text


def rolled(timeframes: str, where: str = "true") -> str:
    """Give the query that folds minutes that meet ``where`` into the larger timeframes.

    ``timeframes`` is a relation ``t(timeframe, micros, shift)``. It is a table to join with, not a branch of a
    union each, so that a filter on ``timeframe`` leaves one row of it and the minutes are read once.
    """
    return f"""
SELECT instrument, timeframe, make_timestamptz(bucket) AS start,
       coalesce(traded_open, first_close) AS open, coalesce(traded_high, first_close) AS high,
       coalesce(traded_low, first_close) AS low, coalesce(traded_close, first_close) AS close,
       volume, quote_volume, trade_count, taker_buy_volume,
       complete AND minutes * {MINUTE} = CASE WHEN micros > 0 THEN micros
           ELSE epoch_us(make_timestamptz(bucket) + INTERVAL 1 MONTH) - bucket END AS complete, revision
FROM (
    SELECT m.instrument, t.timeframe, t.micros,
           CASE WHEN t.micros > 0 THEN (epoch_us(m.start) - t.shift) // t.micros * t.micros + t.shift
                ELSE epoch_us(date_trunc('month', m.start)) END AS bucket,
           arg_min(m.open, m.start) FILTER (m.trade_count > 0) AS traded_open,
           max(m.high) FILTER (m.trade_count > 0) AS traded_high,
           min(m.low) FILTER (m.trade_count > 0) AS traded_low,
           arg_max(m.close, m.start) FILTER (m.trade_count > 0) AS traded_close,
           arg_min(m.close, m.start) AS first_close,
           sum(m.volume)::DECIMAL(38, 18) AS volume, sum(m.quote_volume)::DECIMAL(38, 18) AS quote_volume,
           sum(m.trade_count)::BIGINT AS trade_count, sum(m.taker_buy_volume)::DECIMAL(38, 18) AS taker_buy_volume,
           bool_and(m.complete) AS complete, count(*) AS minutes, max(m.revision) AS revision
    FROM ({LATEST} WHERE c.timeframe = '1m' AND {where}) m CROSS JOIN {timeframes}
    GROUP BY ALL
)
"""  # noqa: S608 - our own text


def _folded_timeframes() -> str:
    rows = (f"('{tf.name}', {tf.micros}, {tf.shift})" for tf in TIMEFRAMES.values() if not _stored(tf.name))
    return f"(VALUES {', '.join(rows)}) AS t(timeframe, micros, shift)"


def _stored(name: str) -> bool:
    return name in ("1s", "1m")
