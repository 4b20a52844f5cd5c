from dataclasses import dataclass

from storage.catalog.completeness import COMPLETENESS
from storage.lake.views import candles

_TIME = "TIMESTAMP WITH TIME ZONE"
_SUM = "DECIMAL(38,18)"


@dataclass(frozen=True, slots=True)
class View:
    """Name a view: what it shows, its query, and (name, type, comment) of its columns in order."""

    name: str
    comment: str
    query: str
    columns: tuple[tuple[str, str, str], ...]


def _ledger(name: str, comment: str, *columns: tuple[str, str, str]) -> View:
    names = ", ".join(f'"{column[0]}"' for column in columns)
    return View(name, comment, f"SELECT {names} FROM ledger.public.{name}", columns)  # noqa: S608 - our own names


VIEWS = (
    View(
        "trades",
        "trades as they were received, live and from other authors",
        "SELECT t.instrument, t.trade_id, t.ts, t.price, t.size, t.side, t.fills FROM lake.trades t",
        (
            ("instrument", "VARCHAR", "venue:BASE-QUOTE, with -PERP or -YYYYMMDD for derivatives"),
            ("trade_id", "BIGINT", "the venue's id, unique in its instrument; below 0 where it is made of a text"),
            ("ts", _TIME, "event time of the venue, UTC"),
            ("price", "DOUBLE", "in quote asset; the nearest double of the venue's decimal"),
            ("size", "DOUBLE", "in the instrument's own unit: base, quote or contracts"),
            ("side", "TINYINT", "taker's side: +1 buy, -1 sell"),
            ("fills", "INTEGER", "how many trades of the venue the row stands for"),
        ),
    ),
    View(
        "candles",
        "candles of every timeframe, each in its latest revision; filter on timeframe",
        candles(),
        (
            ("instrument", "VARCHAR", "venue:BASE-QUOTE, with -PERP or -YYYYMMDD for derivatives"),
            ("timeframe", "VARCHAR", "1s and 1m are stored, the larger ones folded from the minutes"),
            ("start", _TIME, "start of the interval, UTC; weeks begin on Monday"),
            ("open", "DOUBLE", "price of the first trade; flat at the previous close without trades"),
            ("high", "DOUBLE", "highest price"),
            ("low", "DOUBLE", "lowest price"),
            ("close", "DOUBLE", "price of the last trade"),
            ("volume", _SUM, "traded size, exact, in the instrument's own unit"),
            ("quote_volume", _SUM, "sum of price x size, exact"),
            ("trade_count", "BIGINT", "number of the venue's trades"),
            ("taker_buy_volume", _SUM, "the part of volume whose taker bought, exact"),
            ("complete", "BOOLEAN", "proven: no trade of the interval is missing"),
            ("revision", "INTEGER", "0 as first written; higher after late trades or a repair"),
        ),
    ),
    View(
        "quotes",
        "best bid and ask: of each interval of receipt (setting quotes.interval_ms) the last; filter on ts",
        "SELECT q.instrument, q.ts, q.received, q.id, q.bid, q.bid_size, q.ask, q.ask_size,"
        # The difference of two decimals of 15 digits, without what their doubles add to it.
        " CASE WHEN q.bid > 0 AND q.ask > 0"
        " THEN round(q.ask - q.bid, 14 - floor(log10(greatest(q.bid, q.ask)))::INTEGER) END AS spread"
        " FROM lake.quotes q",
        (
            ("instrument", "VARCHAR", "venue:BASE-QUOTE, with -PERP or -YYYYMMDD for derivatives"),
            ("ts", _TIME, "event time of the venue, UTC; the time of receipt where it sends none"),
            ("received", _TIME, "when it was received, UTC"),
            ("id", "BIGINT", "orders the updates of one instrument; 0 where the venue has none"),
            ("bid", "DOUBLE", "highest price that somebody buys at; 0 where nobody does"),
            ("bid_size", "DOUBLE", "how much is bought there, in the instrument's own unit"),
            ("ask", "DOUBLE", "lowest price that somebody sells at; 0 where nobody does"),
            ("ask_size", "DOUBLE", "how much is sold there, in the instrument's own unit"),
            ("spread", "DOUBLE", "ask - bid in quote asset, below 0 for a crossed book; null where a side is empty"),
        ),
    ),
    View(
        "venue_candles",
        "the venue's own candles once they are closed, for comparison with candles; filter on timeframe",
        'SELECT v.instrument, v.timeframe, v.start, v.received, v."open", v.high, v.low, v."close", v.volume,'
        " v.quote_volume, v.trade_count, v.taker_buy_volume FROM lake.venue_candles v"
        " QUALIFY row_number() OVER (PARTITION BY v.instrument, v.timeframe, v.start ORDER BY v.received DESC) = 1",
        (
            ("instrument", "VARCHAR", "venue:BASE-QUOTE, with -PERP or -YYYYMMDD for derivatives"),
            ("timeframe", "VARCHAR", "one that a kline channel was recorded of"),
            ("start", _TIME, "start of the interval, UTC"),
            ("received", _TIME, "when its last version was received, UTC; what was told again counts last"),
            ("open", "DOUBLE", "as the venue tells it; so are the others"),
            ("high", "DOUBLE", "highest price"),
            ("low", "DOUBLE", "lowest price"),
            ("close", "DOUBLE", "last price"),
            ("volume", _SUM, "traded size, exact, in the instrument's own unit"),
            ("quote_volume", _SUM, "sum of price x size; null where the venue does not tell it"),
            ("trade_count", "BIGINT", "number of trades; null where the venue does not tell it"),
            ("taker_buy_volume", _SUM, "the part whose taker bought; null where the venue does not tell it"),
        ),
    ),
    View(
        "mark_prices",
        "what derivatives are marked at: of each interval of receipt (setting quotes.interval_ms) the last",
        'SELECT m.instrument, m.ts, m.received, m.mark, m."index", m.funding_rate, m.next_funding'
        " FROM lake.mark_prices m",
        (
            ("instrument", "VARCHAR", "venue:BASE-QUOTE, with -PERP or -YYYYMMDD for derivatives"),
            ("ts", _TIME, "event time of the venue, UTC"),
            ("received", _TIME, "when it was received, UTC"),
            ("mark", "DOUBLE", "the price that positions are valued at, in quote asset; null before it was told"),
            ("index", "DOUBLE", "the price of the index behind it; null before it was told"),
            (
                "funding_rate",
                "DOUBLE",
                "share of a position's value that longs pay to shorts; null before it was told",
            ),
            ("next_funding", _TIME, "when it is paid, UTC; null before it was told"),
        ),
    ),
    View(
        "completeness",
        "of each instrument and day, which share of the recorded time is proven to lack no trade",
        COMPLETENESS,
        (
            ("instrument", "VARCHAR", "the instrument's name"),
            ("id_space", "VARCHAR", "which ids its trades were recorded with: each has a row of its own"),
            ("day", "DATE", "the day, UTC"),
            ("first", _TIME, "from when on it was recorded on that day, UTC"),
            ("last", _TIME, "until when"),
            ("proven", "DOUBLE", "share of that time that was complete at once"),
            ("repaired", "DOUBLE", "share that had been missing and was fetched later"),
            ("missing", "DOUBLE", "share in which trades are missing, or may be where the venue's ids do not chain"),
            ("gaps_repaired", "BIGINT", "gaps that reach into the day and are closed"),
            ("gaps_open", "BIGINT", "gaps that are not closed yet"),
            ("gaps_unfillable", "BIGINT", "gaps that the exchange has no trades for any more"),
        ),
    ),
    _ledger(
        "signals",
        "decisions of runs, each stored once",
        ("id", "VARCHAR", "hash of run, instrument, timeframe, candle start and side"),
        ("run", "VARCHAR", "the run that decided"),
        ("instrument", "VARCHAR", "the instrument's name"),
        ("timeframe", "VARCHAR", "the candle's timeframe"),
        ("start", _TIME, "the candle's start, UTC"),
        ("side", "VARCHAR", "long or short"),
        ("target", "DOUBLE", "exposure wanted on that side: 0 to 1 for long, -1 to 0 for short"),
        ("reason", "VARCHAR", "the rule that fired"),
        ("price", "DOUBLE", "the close that was seen"),
        ("decided_at", _TIME, "the candle's end, in event time, UTC"),
        ("created", _TIME, "when this row was written, UTC"),
    ),
    _ledger(
        "runs",
        "strategies at work: one row for each code, parameters, instrument and timeframe",
        ("id", "VARCHAR", "hash over strategy, code, parameters, instrument and timeframe"),
        ("strategy", "VARCHAR", "the strategy's name"),
        ("instrument", "VARCHAR", "the instrument's name"),
        ("timeframe", "VARCHAR", "the timeframe it decides on"),
        ("params", "VARCHAR", "the parameters it runs with, as JSON"),
        ("code", "VARCHAR", "hash of the strategy's code"),
        ("started", _TIME, "when this row was written, UTC"),
        ("state", "VARCHAR", "running, stopped or failed"),
        ("error", "VARCHAR", "why it failed; null otherwise"),
        ("warm_venue", "INTEGER", "how many candles of the venue it was warmed with"),
        ("warm_lake", "INTEGER", "how many candles of the lake it was warmed with"),
    ),
    _ledger(
        "gaps",
        "trade ids that were missing when event time had passed them; a row never moves back",
        ("instrument", "VARCHAR", "the instrument's name"),
        (
            "id_space",
            "VARCHAR",
            "which ids: trade, aggregate, merged, or execution: ids that prove nothing, counted in event times",
        ),
        (
            "first_id",
            "BIGINT",
            "first missing trade id; in execution the event time (µs) from which on trades may be missing",
        ),
        ("last_id", "BIGINT", "last missing trade id, inclusive; in execution the event time until which"),
        ("after_ts", _TIME, "event time of the trade before the hole, UTC"),
        ("before_ts", _TIME, "event time of the trade after the hole, UTC"),
        ("missing", "BIGINT", "how many of the ids (in execution: µs) are still missing; only falls"),
        ("cause", "VARCHAR", "why: missing_ids, lost_connection, silence, restart, journal_full, too_late ..."),
        (
            "state",
            "VARCHAR",
            "open, repaired (nothing is missing any more) or unfillable (the exchange has no more of it)",
        ),
        ("found", _TIME, "when this row was written, UTC"),
    ),
    _ledger(
        "coverage",
        "trade ids that have been received without a hole; ranges of an instrument neither overlap nor touch",
        ("instrument", "VARCHAR", "the instrument's name"),
        (
            "id_space",
            "VARCHAR",
            "which ids: trade, aggregate, merged, or execution: ids that prove nothing, counted in event times",
        ),
        ("first_id", "BIGINT", "first trade id of the range; in execution its event time in µs"),
        ("last_id", "BIGINT", "last trade id of the range, inclusive; in execution its event time in µs"),
        ("first_ts", _TIME, "event time of the first trade, UTC"),
        ("last_ts", _TIME, "event time of the last trade, UTC"),
    ),
    _ledger(
        "dirty_minutes",
        "minutes whose candles must be folded again from the trades",
        ("instrument", "VARCHAR", "the instrument's name"),
        ("minute", _TIME, "start of the minute, UTC"),
        ("feed", "VARCHAR", "the feed whose record made it dirty; empty where the trades were in the lake already"),
        ("offset", "BIGINT", "offset of that record in the feed's journal: fold once the lake has committed it"),
        ("reason", "VARCHAR", "late_trade, repaired or proven"),
    ),
    _ledger(
        "instruments",
        "markets that were seen, one row a market",
        ("name", "VARCHAR", "venue:BASE-QUOTE, with -PERP for perpetuals and -YYYYMMDD for futures"),
        ("venue", "VARCHAR", "the exchange"),
        ("base", "VARCHAR", "the asset that is bought and sold"),
        ("quote", "VARCHAR", "the asset that prices are in"),
        ("expiry", "VARCHAR", "empty for spot, PERP, or the day YYYYMMDD"),
        ("native", "VARCHAR", "the exchange's own symbol"),
        ("tick", "DOUBLE", "smallest step of the price; null until the exchange has told it"),
        ("lot", "DOUBLE", "smallest step of the size; null until the exchange has told it"),
        ("multiplier", "DOUBLE", "units of base (inverse contracts: of quote) that one contract stands for"),
        ("size_unit", "VARCHAR", "what a size of 1 means: base, quote or contracts"),
        (
            "id_space",
            "VARCHAR",
            "what its coverage counts: ids (trade, aggregate, merged) or event times (execution); null: not known",
        ),
        ("first_seen", _TIME, "when this row was written, UTC"),
    ),
    _ledger(
        "instrument_changes",
        "what exchanges said of their instruments, one row a change",
        ("instrument", "VARCHAR", "the instrument's name"),
        ("since", _TIME, "when the recorder was told, UTC"),
        ("native", "VARCHAR", "the exchange's own symbol"),
        ("tick", "DOUBLE", "smallest step of the price; null where the exchange does not say"),
        ("lot", "DOUBLE", "smallest step of the size; null where the exchange does not say"),
        ("multiplier", "DOUBLE", "units of base (inverse contracts: of quote) that one contract stands for"),
        ("size_unit", "VARCHAR", "what a size of 1 means: base, quote or contracts"),
    ),
    _ledger(
        "feeds",
        "journals that were written: one row a feed",
        ("name", "VARCHAR", "the feed's name, the journal's folder"),
        ("venue", "VARCHAR", "the exchange whose protocol its frames speak"),
        ("created", _TIME, "when this row was written, UTC"),
    ),
    _ledger(
        "quarantine",
        "records of journals that could not be read; the newest of each feed are kept",
        ("feed", "VARCHAR", "the feed"),
        ("offset", "BIGINT", "the record's offset in the feed's journal"),
        ("received_at", _TIME, "when the record was received, UTC"),
        ("reason", "VARCHAR", "why it could not be read"),
        ("payload", "BLOB", "its first bytes"),
    ),
)
