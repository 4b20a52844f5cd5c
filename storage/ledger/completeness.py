"""What the ledger knows about complete data: coverage, gaps and dirty minutes.

Every statement takes whole columns (``unnest``), so that the number of rows does not change the number of
round trips, and may be repeated: a second time changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import psycopg

from core.gaps import Coverage, DirtyMinute, Gap
from storage.ledger.moments import micros, moment

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('tidemill coverage', 0))"

# Stored ranges neither overlap nor touch, so what joins a claim is found by looking at the claims alone.
# An end of a range keeps the event time that was claimed with it; of two claims for one end, the wider.
_COVER = """
WITH claims AS (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        AS claim (instrument, id_space, first_id, last_id, first_ts, last_ts)
), joined AS (
    DELETE FROM coverage USING claims
    WHERE coverage.instrument = claims.instrument AND coverage.id_space = claims.id_space
      AND coverage.first_id - 1 <= claims.last_id AND coverage.last_id + 1 >= claims.first_id
    RETURNING coverage.*
), ranges AS (
    SELECT * FROM claims UNION ALL SELECT * FROM joined
), reached AS (
    SELECT *, max(last_id) OVER (
        PARTITION BY instrument, id_space ORDER BY first_id, last_id
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before FROM ranges
), islands AS (
    SELECT *, count(*) FILTER (WHERE before IS NULL OR first_id - 1 > before) OVER (
        PARTITION BY instrument, id_space ORDER BY first_id, last_id ROWS UNBOUNDED PRECEDING
    ) AS island FROM reached
)
INSERT INTO coverage
SELECT instrument, id_space, min(first_id), max(last_id),
       (array_agg(first_ts ORDER BY first_id, first_ts))[1],
       (array_agg(last_ts ORDER BY last_id DESC, last_ts DESC))[1]
FROM islands GROUP BY instrument, id_space, island
"""

_FIND_GAPS = """
INSERT INTO gaps AS stored
    (instrument, id_space, first_id, last_id, after_ts, before_ts, missing, cause, state)
SELECT instrument, id_space, first_id, last_id, min(after_ts), max(before_ts), min(missing), min(cause),
       CASE WHEN min(missing) = 0 THEN 'repaired' WHEN bool_or(unfillable) THEN 'unfillable' ELSE 'open' END
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[],
            %s::bigint[], %s::text[], %s::boolean[])
    AS found (instrument, id_space, first_id, last_id, after_ts, before_ts, missing, cause, unfillable)
GROUP BY instrument, id_space, first_id, last_id
ORDER BY instrument, id_space, first_id, last_id
ON CONFLICT (instrument, id_space, first_id, last_id) DO UPDATE SET
    missing = least(stored.missing, excluded.missing),
    after_ts = least(stored.after_ts, excluded.after_ts),
    before_ts = greatest(stored.before_ts, excluded.before_ts),
    state = CASE WHEN least(stored.missing, excluded.missing) = 0 THEN 'repaired'
                 WHEN stored.state = 'open' THEN excluded.state ELSE stored.state END
WHERE excluded.missing < stored.missing
   OR excluded.after_ts < stored.after_ts OR excluded.before_ts > stored.before_ts
   OR (stored.state = 'open' AND excluded.state <> 'open')
"""

_SOIL = """
INSERT INTO dirty_minutes AS stored (instrument, minute, feed, "offset", reason)
SELECT DISTINCT ON (instrument, minute, feed) instrument, minute, feed, "offset", reason
FROM unnest(%s::text[], %s::timestamptz[], %s::text[], %s::bigint[], %s::text[])
    AS dirt (instrument, minute, feed, "offset", reason)
ORDER BY instrument, minute, feed, "offset" DESC, reason
ON CONFLICT (instrument, minute, feed) DO UPDATE SET "offset" = excluded."offset", reason = excluded.reason
WHERE excluded."offset" > stored."offset"
   OR (excluded."offset" = stored."offset" AND excluded.reason < stored.reason)
"""

_READY = """
WITH committed AS (SELECT * FROM unnest(%s::text[], %s::bigint[]) AS c (feed, reached)),
ready AS (
    SELECT instrument, minute FROM dirty_minutes LEFT JOIN committed USING (feed)
    GROUP BY instrument, minute
    HAVING bool_and(feed = '' OR coalesce("offset" <= reached, false))
    ORDER BY instrument, minute LIMIT %s
)
SELECT instrument, minute, feed, "offset", reason FROM dirty_minutes JOIN ready USING (instrument, minute)
ORDER BY instrument, minute, feed
"""

_CLEAN = """
DELETE FROM dirty_minutes AS stored
USING unnest(%s::text[], %s::timestamptz[], %s::text[], %s::bigint[]) AS folded (instrument, minute, feed, "offset")
WHERE stored.instrument = folded.instrument AND stored.minute = folded.minute AND stored.feed = folded.feed
  AND stored."offset" <= folded."offset"
"""

_GIVE_UP = """
UPDATE gaps AS stored SET state = 'unfillable'
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[]) AS lost (instrument, id_space, first_id, last_id)
WHERE stored.instrument = lost.instrument AND stored.id_space = lost.id_space
  AND stored.first_id = lost.first_id AND stored.last_id = lost.last_id AND stored.state = 'open'
"""

_COVERAGE = """
SELECT instrument, id_space, first_id, last_id, first_ts, last_ts FROM coverage
WHERE instrument = %s AND id_space = %s AND first_ts < %s AND last_ts >= %s
ORDER BY first_id
"""

_GAPS = """
SELECT instrument, id_space, first_id, last_id, after_ts, before_ts, missing, cause, state FROM gaps
WHERE (%(instrument)s::text IS NULL OR instrument = %(instrument)s)
  AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY instrument, id_space, first_id, last_id
"""

GapState = Literal["open", "repaired", "unfillable"]


def record(
    cursor: psycopg.Cursor[Any], gaps: Sequence[Gap], coverage: Sequence[Coverage], dirty: Sequence[DirtyMinute]
) -> None:
    """Write inside the caller's transaction; see `Ledger.record`."""
    if coverage:
        # Two writers that extend one range at the same time would store two that overlap.
        cursor.execute(_LOCK)
        cursor.execute(_COVER, _coverage_columns(coverage))
    if gaps:
        cursor.execute(_FIND_GAPS, _gap_columns(gaps))
    if dirty:
        cursor.execute(_SOIL, _dirt_columns(dirty))


def ready(cursor: psycopg.Cursor[Any], committed: Mapping[str, int], limit: int) -> list[DirtyMinute]:
    """Read dirty minutes; see `Ledger.dirty`."""
    rows = cursor.execute(_READY, [list(committed), list(committed.values()), limit])
    return [DirtyMinute(name, micros(minute), *rest) for name, minute, *rest in rows]


def clean(cursor: psycopg.Cursor[Any], rows: Sequence[DirtyMinute]) -> None:
    """Forget dirty minutes; see `Ledger.clean`."""
    cursor.execute(_CLEAN, _dirt_columns(rows)[:4])


def give_up(cursor: psycopg.Cursor[Any], gaps: Sequence[Gap]) -> None:
    """Mark gaps unfillable; see `Ledger.give_up`."""
    cursor.execute(_GIVE_UP, _gap_columns(gaps)[:4])


def covered(cursor: psycopg.Cursor[Any], instrument: str, id_space: str, start: int, end: int) -> list[Coverage]:
    """Read ranges; see `Ledger.coverage`."""
    rows = cursor.execute(_COVERAGE, [instrument, id_space, moment(end), moment(start)])
    return [
        Coverage(name, space, first, last, micros(first_ts), micros(last_ts))
        for name, space, first, last, first_ts, last_ts in rows
    ]


def known_gaps(cursor: psycopg.Cursor[Any], instrument: str | None, state: GapState | None) -> list[Gap]:
    """Read gaps; see `Ledger.gaps`."""
    rows = cursor.execute(_GAPS, {"instrument": instrument, "state": state})
    return [
        Gap(name, space, first, last, micros(after), micros(before), missing, cause, state == "unfillable")
        for name, space, first, last, after, before, missing, cause, state in rows
    ]


def _coverage_columns(rows: Sequence[Coverage]) -> list[list[Any]]:
    return [
        [r.instrument for r in rows],
        [r.id_space for r in rows],
        [r.first_id for r in rows],
        [r.last_id for r in rows],
        [moment(r.first_ts) for r in rows],
        [moment(r.last_ts) for r in rows],
    ]


def _gap_columns(rows: Sequence[Gap]) -> list[list[Any]]:
    return [
        [r.instrument for r in rows],
        [r.id_space for r in rows],
        [r.first_id for r in rows],
        [r.last_id for r in rows],
        [moment(r.after_ts) for r in rows],
        [moment(r.before_ts) for r in rows],
        [r.missing for r in rows],
        [r.cause for r in rows],
        [r.unfillable for r in rows],
    ]


def _dirt_columns(rows: Sequence[DirtyMinute]) -> list[list[Any]]:
    return [
        [r.instrument for r in rows],
        [moment(r.minute) for r in rows],
        [r.feed for r in rows],
        [r.offset for r in rows],
        [r.reason for r in rows],
    ]
