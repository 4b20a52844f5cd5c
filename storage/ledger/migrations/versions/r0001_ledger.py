"""The first tables: what is traded, what is known about its trades, what strategies decided."""

from alembic import op

revision = "0001"
down_revision = None

_TABLES = (
    """
    CREATE TABLE instruments (
        name text PRIMARY KEY,
        venue text NOT NULL,
        base text NOT NULL,
        quote text NOT NULL,
        expiry text NOT NULL,
        native text NOT NULL,
        tick numeric,
        lot numeric,
        multiplier numeric NOT NULL,
        size_unit text NOT NULL CHECK (size_unit IN ('base', 'quote', 'contracts')),
        id_space text,
        first_seen timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE feeds (
        name text PRIMARY KEY,
        venue text NOT NULL,
        created timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE coverage (
        instrument text NOT NULL,
        id_space text NOT NULL,
        first_id bigint NOT NULL,
        last_id bigint NOT NULL CHECK (last_id >= first_id),
        first_ts timestamptz NOT NULL,
        last_ts timestamptz NOT NULL,
        PRIMARY KEY (instrument, id_space, first_id)
    )
    """,
    """
    CREATE TABLE gaps (
        instrument text NOT NULL,
        id_space text NOT NULL,
        first_id bigint NOT NULL,
        last_id bigint NOT NULL CHECK (last_id >= first_id),
        after_ts timestamptz NOT NULL,
        before_ts timestamptz NOT NULL,
        missing bigint NOT NULL CHECK (missing >= 0),
        cause text NOT NULL,
        state text NOT NULL CHECK (state IN ('open', 'repaired', 'unfillable')),
        found timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (instrument, id_space, first_id, last_id),
        CHECK (state = 'unfillable' OR (state = 'repaired') = (missing = 0))
    )
    """,
    """
    CREATE TABLE dirty_minutes (
        instrument text NOT NULL,
        minute timestamptz NOT NULL,
        feed text NOT NULL,
        "offset" bigint NOT NULL,
        reason text NOT NULL,
        PRIMARY KEY (instrument, minute, feed)
    )
    """,
    """
    CREATE TABLE runs (
        id text PRIMARY KEY,
        strategy text NOT NULL,
        instrument text NOT NULL,
        timeframe text NOT NULL,
        params jsonb NOT NULL,
        code text NOT NULL,
        started timestamptz NOT NULL DEFAULT now(),
        state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'stopped', 'failed')),
        error text
    )
    """,
    """
    CREATE TABLE signals (
        id text PRIMARY KEY,
        run text NOT NULL REFERENCES runs,
        instrument text NOT NULL,
        timeframe text NOT NULL,
        start timestamptz NOT NULL,
        side text NOT NULL CHECK (side IN ('long', 'short')),
        target double precision NOT NULL,
        reason text NOT NULL,
        price double precision NOT NULL,
        decided_at timestamptz NOT NULL,
        created timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX signals_by_run ON signals (run, start)",
    "CREATE INDEX signals_by_instrument ON signals (instrument, start)",
    """
    CREATE TABLE quarantine (
        feed text NOT NULL,
        "offset" bigint NOT NULL,
        received_at timestamptz NOT NULL,
        reason text NOT NULL,
        payload bytea NOT NULL,
        PRIMARY KEY (feed, "offset")
    )
    """,
    """
    CREATE TABLE quarantine_dropped (
        feed text PRIMARY KEY,
        "offset" bigint NOT NULL,
        records bigint NOT NULL CHECK (records >= 0)
    )
    """,
)

_NEVER_BACK = (
    """
    CREATE FUNCTION gap_never_moves_back() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF new.missing > old.missing OR (old.state <> 'open' AND new.state <> old.state)
           OR (new.instrument, new.id_space, new.first_id, new.last_id)
              IS DISTINCT FROM (old.instrument, old.id_space, old.first_id, old.last_id) THEN
            RAISE EXCEPTION 'a gap never moves back, % % to % tried to', old.instrument, old.first_id, old.last_id
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN new;
    END
    $$
    """,
    """
    CREATE TRIGGER gap_never_moves_back BEFORE UPDATE ON gaps
        FOR EACH ROW EXECUTE FUNCTION gap_never_moves_back()
    """,
)

_COMMENTS = {
    "instruments": {
        "": "Markets that were seen, one row a market",
        "name": "venue:BASE-QUOTE, with -PERP for perpetuals and -YYYYMMDD for futures",
        "venue": "The exchange",
        "base": "The asset that is bought and sold",
        "quote": "The asset that prices are in",
        "expiry": "Empty for spot, PERP, or the day YYYYMMDD",
        "native": "The exchange's own symbol",
        "tick": "Smallest step of the price; null until the exchange has told it",
        "lot": "Smallest step of the size; null until the exchange has told it",
        "multiplier": "Units of base (inverse contracts: of quote) that one contract stands for",
        "size_unit": "What a size of 1 means: base, quote or contracts",
        "id_space": "Which trade ids its coverage is counted in: trade or aggregate; null where not known",
        "first_seen": "When this row was written",
    },
    "feeds": {
        "": "Journals that were written: one row a feed",
        "name": "The feed's name, the journal's folder",
        "venue": "The exchange whose protocol its frames speak",
        "created": "When this row was written",
    },
    "coverage": {
        "": "Trade ids that have been received without a hole; ranges of an instrument neither overlap nor touch",
        "instrument": "The instrument's name",
        "id_space": "Which ids: trade or aggregate",
        "first_id": "First trade id of the range",
        "last_id": "Last trade id of the range, inclusive",
        "first_ts": "Event time of the first trade",
        "last_ts": "Event time of the last trade",
    },
    "gaps": {
        "": "Trade ids that were missing when event time had passed them; a row never moves back",
        "instrument": "The instrument's name",
        "id_space": "Which ids: trade or aggregate",
        "first_id": "First missing trade id",
        "last_id": "Last missing trade id, inclusive",
        "after_ts": "Event time of the trade before the hole",
        "before_ts": "Event time of the trade after the hole",
        "missing": "How many of the ids are still missing; only falls",
        "cause": "Why: missing_ids, journal_full, a lost connection ...",
        "state": "open, repaired (nothing is missing any more) or unfillable (the exchange has no more of it)",
        "found": "When this row was written",
    },
    "dirty_minutes": {
        "": "Minutes whose candles must be folded again from the trades",
        "instrument": "The instrument's name",
        "minute": "Start of the minute",
        "feed": "The feed whose record made it dirty; empty where the trades were in the lake already",
        "offset": "Offset of that record in the feed's journal: fold once the lake has committed it",
        "reason": "late_trade, repaired or proven",
    },
    "runs": {
        "": "Strategies at work: one row for each code, parameters, instrument and timeframe",
        "id": "Hash over strategy, code, parameters, instrument and timeframe",
        "strategy": "The strategy's name",
        "instrument": "The instrument's name",
        "timeframe": "The timeframe it decides on",
        "params": "The parameters it runs with",
        "code": "Hash of the strategy's code",
        "started": "When this row was written",
        "state": "running, stopped or failed",
        "error": "Why it failed; null otherwise",
    },
    "signals": {
        "": "Decisions of runs, each stored once",
        "id": "Hash of run, instrument, timeframe, candle start and side",
        "run": "The run that decided",
        "instrument": "The instrument's name",
        "timeframe": "The candle's timeframe",
        "start": "The candle's start",
        "side": "long or short",
        "target": "Exposure wanted on that side: 0 to 1 for long, -1 to 0 for short",
        "reason": "The rule that fired",
        "price": "The close that was seen",
        "decided_at": "The candle's end, in event time",
        "created": "When this row was written",
    },
    "quarantine": {
        "": "Records of journals that could not be read; the newest of each feed are kept",
        "feed": "The feed",
        "offset": "The record's offset in the feed's journal",
        "received_at": "When the record was received",
        "reason": "Why it could not be read",
        "payload": "Its first bytes",
    },
    "quarantine_dropped": {
        "": "What the bound of the quarantine has dropped",
        "feed": "The feed",
        "offset": "Records up to this offset are not taken in any more",
        "records": "How many records were dropped",
    },
}


def upgrade() -> None:
    """Create the tables."""
    for statement in (*_TABLES, *_NEVER_BACK):
        op.execute(statement)
    for table, comments in _COMMENTS.items():
        for column, comment in comments.items():
            what = f'COLUMN {table}."{column}"' if column else f"TABLE {table}"
            quoted = comment.replace("'", "''").replace(":", r"\:")
            op.execute(f"COMMENT ON {what} IS '{quoted}'")
