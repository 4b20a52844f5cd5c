"""Candles of every timeframe, as SQL over the stored one-second and one-minute candles.

The fold is that of `core.roll_up`; a law test holds both equal.
"""

from core.candles import SUM_SCALE
from core.timeframes import BASE, MINUTE, TIMEFRAMES, Timeframe


def candles() -> str:
    """Give the query of the view ``candles``: all timeframes, latest revision.

    Each timeframe is a branch of its own with its name as a constant, so that a filter on ``timeframe`` leaves
    one branch before anything is read.
    """
    return " UNION ALL ".join(latest(tf) if tf in BASE else rolled(tf) for tf in TIMEFRAMES.values())


def latest(timeframe: Timeframe, where: str = "true", authored: bool = False) -> str:
    """Give the query of the stored candles ``c`` of a timeframe that meet ``where``, each in its highest revision.

    What is revised is little, so the join's other side is small. ``authored`` asks for revision 0 alone.
    """
    newest = "0" if authored else "coalesce(later.newest, 0)"
    return f"""
SELECT c.instrument, '{timeframe}' AS timeframe, c.start, c.open, c.high, c.low, c.close, c.volume, c.quote_volume,
       c.trade_count, c.taker_buy_volume, c.complete, c.revision
FROM lake.candles c
LEFT JOIN (
    SELECT r.instrument, r.start, max(r.revision) AS newest
    FROM lake.candles r WHERE r.timeframe = '{timeframe}' AND r.revision > 0 GROUP BY ALL
) later
ON later.instrument = c.instrument AND later.start = c.start
WHERE c.timeframe = '{timeframe}' AND c.revision = {newest} AND {where}
"""  # noqa: S608 - our own text


def rolled(timeframe: Timeframe, where: str = "true", authored: bool = False) -> str:
    """Give the query that folds the minutes ``c`` that meet ``where`` into one larger timeframe."""
    # Months have no fixed length: Timeframe.micros is 0 for them.
    bucket = "epoch_us(date_trunc('month', m.start))"
    length = "epoch_us(make_timestamptz(f.bucket) + INTERVAL 1 MONTH) - f.bucket"
    if timeframe.micros:
        # From an origin before the epoch: DuckDB's // rounds towards zero.
        origin = timeframe.shift - timeframe.micros
        bucket = f"(epoch_us(m.start) - {origin}) // {timeframe.micros} * {timeframe.micros} + {origin}"
        length = f"{timeframe.micros}"
    sums = ", ".join(
        f"sum(m.{name})::DECIMAL(38, {SUM_SCALE}) AS {name}"
        for name in ("volume", "quote_volume", "taker_buy_volume")
    )
    # Every name is qualified: a macro's parameter called instrument is in sight of views that it reads.
    return f"""
SELECT f.instrument, '{timeframe}' AS timeframe, make_timestamptz(f.bucket) AS start,
       coalesce(f.traded_open, f.first_close) AS open, coalesce(f.traded_high, f.first_close) AS high,
       coalesce(f.traded_low, f.first_close) AS low, coalesce(f.traded_close, f.first_close) AS close,
       f.volume, f.quote_volume, f.trade_count, f.taker_buy_volume,
       f.complete AND f.minutes = ({length}) // {MINUTE} AS complete, f.revision
FROM (
    SELECT m.instrument, {bucket} AS bucket,
           arg_min(m.open, m.start) FILTER (m.trade_count > 0) AS traded_open,
           max(m.high) FILTER (m.trade_count > 0) AS traded_high,
           min(m.low) FILTER (m.trade_count > 0) AS traded_low,
           arg_max(m.close, m.start) FILTER (m.trade_count > 0) AS traded_close,
           arg_min(m.close, m.start) AS first_close,
           {sums}, sum(m.trade_count)::BIGINT AS trade_count,
           bool_and(m.complete) AS complete, count(*) AS minutes, max(m.revision) AS revision
    FROM ({latest(TIMEFRAMES["1m"], where, authored)}) m
    GROUP BY ALL
) f
"""  # noqa: S608 - our own text
