"""Where data came from: instruments, feeds and what of them could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from core.errors import IntegrityError
from core.instruments import Instrument
from core.records import Quarantined
from storage.ledger.moments import micros, moment

_SEE = """
INSERT INTO instruments AS stored
    (name, venue, base, quote, expiry, native, tick, lot, multiplier, size_unit, id_space)
SELECT DISTINCT ON (name) *
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[],
            %s::numeric[], %s::text[], %s::text[])
    AS seen (name, venue, base, quote, expiry, native, tick, lot, multiplier, size_unit, id_space)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET
    tick = coalesce(stored.tick, excluded.tick),
    lot = coalesce(stored.lot, excluded.lot),
    id_space = coalesce(stored.id_space, excluded.id_space)
WHERE (stored.tick IS NULL AND excluded.tick IS NOT NULL)
   OR (stored.lot IS NULL AND excluded.lot IS NOT NULL)
   OR (stored.id_space IS NULL AND excluded.id_space IS NOT NULL)
"""

# A list that says the same as before is no change; one that is read again after a crash neither.
_LIST = """
WITH told AS (
    SELECT * FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
                         %s::text[])
        AS told (instrument, since, native, tick, lot, multiplier, size_unit)
), changed AS (
    INSERT INTO instrument_changes
    SELECT told.* FROM told LEFT JOIN LATERAL (
        SELECT * FROM instrument_changes AS known
        WHERE known.instrument = told.instrument AND known.since <= told.since ORDER BY known.since DESC LIMIT 1
    ) AS known ON true
    WHERE known.instrument IS NULL
       OR (known.native, known.multiplier, known.size_unit) <> (told.native, told.multiplier, told.size_unit)
       OR known.tick IS DISTINCT FROM told.tick OR known.lot IS DISTINCT FROM told.lot
    ON CONFLICT DO NOTHING
)
UPDATE instruments AS stored
SET native = told.native, tick = coalesce(told.tick, stored.tick), lot = coalesce(told.lot, stored.lot),
    multiplier = told.multiplier, size_unit = told.size_unit
FROM told WHERE stored.name = told.instrument AND NOT EXISTS (
    SELECT FROM instrument_changes AS later WHERE later.instrument = told.instrument AND later.since > told.since
)
"""

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tidemill quarantine', 0))"

# What the bound has dropped once is not taken in again when a journal is replayed, so that it is counted once.
_QUARANTINE = """
INSERT INTO quarantine (feed, "offset", received_at, reason, payload)
SELECT DISTINCT ON (feed, given."offset") feed, given."offset", received_at, reason, payload
FROM unnest(%s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::bytea[])
    AS given (feed, "offset", received_at, reason, payload)
LEFT JOIN quarantine_dropped AS dropped USING (feed)
WHERE given."offset" > coalesce(dropped."offset", -1)
ORDER BY feed, given."offset"
ON CONFLICT (feed, "offset") DO NOTHING
"""

_BOUND = """
WITH ranked AS (
    SELECT feed, "offset", row_number() OVER (PARTITION BY feed ORDER BY "offset" DESC) AS age
    FROM quarantine WHERE feed = ANY(%s)
), gone AS (
    DELETE FROM quarantine USING ranked
    WHERE quarantine.feed = ranked.feed AND quarantine."offset" = ranked."offset" AND ranked.age > %s
    RETURNING quarantine.feed, quarantine."offset"
)
INSERT INTO quarantine_dropped AS stored (feed, "offset", records)
SELECT feed, max("offset"), count(*) FROM gone GROUP BY feed
ON CONFLICT (feed) DO UPDATE SET "offset" = excluded."offset", records = stored.records + excluded.records
"""

_COUNTS = """
SELECT feed, coalesce(kept.records, 0), coalesce(dropped.records, 0)
FROM (SELECT feed, count(*) AS records FROM quarantine GROUP BY feed) AS kept
FULL JOIN quarantine_dropped AS dropped USING (feed) ORDER BY feed
"""


@dataclass(frozen=True, slots=True)
class QuarantineCount:
    """Count a feed's unreadable records: those that are kept, and older ones that the bound dropped."""

    kept: int
    dropped: int


def see_instruments(
    cursor: psycopg.Cursor[Any], instruments: Sequence[Instrument], id_spaces: Mapping[str, str]
) -> None:
    """Write instruments; see `Ledger.see_instruments`."""
    cursor.execute(
        _SEE,
        [
            [i.name for i in instruments],
            [i.venue for i in instruments],
            [i.base for i in instruments],
            [i.quote for i in instruments],
            [i.expiry for i in instruments],
            [i.native for i in instruments],
            [i.tick for i in instruments],
            [i.lot for i in instruments],
            [i.multiplier for i in instruments],
            [i.size_unit for i in instruments],
            [id_spaces.get(i.name) for i in instruments],
        ],
    )


def list_instruments(cursor: psycopg.Cursor[Any], listed: Sequence[tuple[Instrument, int]]) -> None:
    """Write what venues say of instruments; see `Ledger.list_instruments`."""
    see_instruments(cursor, [one for one, _ in listed], {})
    for one, since in listed:
        cursor.execute(
            _LIST,
            [
                [one.name],
                [moment(since)],
                [one.native],
                [one.tick],
                [one.lot],
                [one.multiplier],
                [one.size_unit],
            ],
        )


def id_spaces(cursor: psycopg.Cursor[Any]) -> dict[str, str]:
    """Read which ids instruments have; see `Ledger.id_spaces`."""
    return dict(cursor.execute("SELECT name, id_space FROM instruments WHERE id_space IS NOT NULL").fetchall())


def register_feed(cursor: psycopg.Cursor[Any], name: str, venue: str) -> None:
    """Write a feed inside the caller's transaction; see `Ledger.register_feed`."""
    cursor.execute("INSERT INTO feeds (name, venue) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING", [name, venue])
    stored = feeds(cursor)[name]
    if stored != venue:
        raise IntegrityError(f"feed {name!r} holds frames of {stored}, not of {venue}: choose another name for it")


def feeds(cursor: psycopg.Cursor[Any]) -> dict[str, str]:
    """Read feeds; see `Ledger.feeds`."""
    return dict(cursor.execute("SELECT name, venue FROM feeds ORDER BY name").fetchall())


def quarantine(cursor: psycopg.Cursor[Any], rows: Sequence[Quarantined], keep: int) -> None:
    """Write inside the caller's transaction; see `Ledger.quarantine`."""
    cursor.execute(_LOCK)
    cursor.execute(
        _QUARANTINE,
        [
            [r.feed for r in rows],
            [r.offset for r in rows],
            [moment(r.received_at) for r in rows],
            [_storable(r.reason) for r in rows],
            [r.payload[: Quarantined.KEPT_BYTES] for r in rows],
        ],
    )
    cursor.execute(_BOUND, [sorted({r.feed for r in rows}), keep])


def quarantined(cursor: psycopg.Cursor[Any]) -> dict[str, QuarantineCount]:
    """Count; see `Ledger.quarantined`."""
    return {feed: QuarantineCount(kept, int(dropped)) for feed, kept, dropped in cursor.execute(_COUNTS)}


def unreadable(cursor: psycopg.Cursor[Any], feed: str, limit: int) -> list[Quarantined]:
    """Read the quarantine; see `Ledger.unreadable`."""
    rows = cursor.execute(
        'SELECT feed, "offset", received_at, reason, payload FROM quarantine WHERE feed = %s '
        'ORDER BY "offset" DESC LIMIT %s',
        [feed, limit],
    )
    return [Quarantined(name, offset, micros(at), *rest) for name, offset, at, *rest in rows]


def _storable(text: str) -> str:
    # A reason may quote what was received; PostgreSQL's text takes neither NUL nor half a surrogate pair.
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")
