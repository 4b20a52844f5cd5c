"""What strategies decided: runs and signals, each stored once."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from core.errors import IntegrityError
from core.signals import Signal
from storage.ledger.moments import micros, moment

_COLUMNS = "id, run, instrument, timeframe, start, side, target, reason, price, decided_at"
_GIVEN = f"""
unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::float8[], %s::text[],
       %s::float8[], %s::timestamptz[]) AS given ({_COLUMNS})
"""

_INSERT = f"INSERT INTO signals ({_COLUMNS}) SELECT * FROM {_GIVEN} ORDER BY id ON CONFLICT (id) DO NOTHING"  # noqa: S608 - constants of this file

_CONTRADICTED = f"""
SELECT stored.id, stored.run FROM {_GIVEN} JOIN signals AS stored USING (id)
WHERE (stored.target, stored.reason, stored.price, stored.decided_at)
      IS DISTINCT FROM (given.target, given.reason, given.price, given.decided_at)
LIMIT 1
"""  # noqa: S608 - as above

_START = """
INSERT INTO runs (id, strategy, instrument, timeframe, params, code, warm_venue, warm_lake)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET state = 'running', error = NULL WHERE runs.state <> 'running'
"""

_STOP = """
UPDATE runs SET state = CASE WHEN %(error)s::text IS NULL THEN 'stopped' ELSE 'failed' END, error = %(error)s
WHERE id = %(id)s
"""

_SIGNALS = """
SELECT run, instrument, timeframe, start, side, target, reason, price, decided_at FROM signals
WHERE (%(run)s::text IS NULL OR run = %(run)s) ORDER BY start, run, side
"""

_LAST = """
SELECT DISTINCT ON (instrument)
    run, instrument, timeframe, start, side, target, reason, price, decided_at
FROM signals ORDER BY instrument, start DESC, decided_at DESC, side
"""


def insert_signals(cursor: psycopg.Cursor[Any], signals: Sequence[Signal]) -> None:
    """Write inside the caller's transaction; see `Ledger.insert_signals`."""
    columns = [
        [s.id for s in signals],
        [s.run for s in signals],
        [s.instrument for s in signals],
        [s.timeframe for s in signals],
        [moment(s.start) for s in signals],
        [s.side for s in signals],
        [s.target for s in signals],
        [s.reason for s in signals],
        [s.price for s in signals],
        [moment(s.decided_at) for s in signals],
    ]
    try:
        cursor.execute(_INSERT, columns)
    except psycopg.errors.ForeignKeyViolation as error:
        raise IntegrityError(
            f"a signal names a run that was never started: {error.diag.message_detail}; nothing was written"
        ) from None
    other = cursor.execute(_CONTRADICTED, columns).fetchone()
    if other is not None:
        raise IntegrityError(
            f"signal {other[0]} of run {other[1]} is stored with another content: "
            "the same code and parameters decided differently on the same candle; nothing was written"
        )


def start_run(
    cursor: psycopg.Cursor[Any],
    run: str,
    strategy: str,
    instrument: str,
    timeframe: str,
    params: Mapping[str, Any],
    code: str,
    warmed: tuple[int, int],
) -> None:
    """Write a run; see `Ledger.start_run`."""
    cursor.execute(_START, [run, strategy, instrument, timeframe, json.dumps(dict(params)), code, *warmed])


def stop_run(cursor: psycopg.Cursor[Any], run: str, error: str | None) -> None:
    """End a run; see `Ledger.stop_run`."""
    cursor.execute(_STOP, {"id": run, "error": error})


def runs(cursor: psycopg.Cursor[Any]) -> dict[str, tuple[str, str | None]]:
    """Read runs; see `Ledger.runs`."""
    rows = cursor.execute("SELECT id, state, error FROM runs ORDER BY id").fetchall()
    return {run: (state, error) for run, state, error in rows}


def warmed(cursor: psycopg.Cursor[Any]) -> dict[str, tuple[int, int]]:
    """Read what runs were warmed with; see `Ledger.warmed`."""
    rows = cursor.execute("SELECT id, coalesce(warm_venue, 0), coalesce(warm_lake, 0) FROM runs ORDER BY id")
    return {run: (venue, lake) for run, venue, lake in rows}


def signals(cursor: psycopg.Cursor[Any], run: str | None) -> list[Signal]:
    """Read signals; see `Ledger.signals`."""
    return [_signal(row) for row in cursor.execute(_SIGNALS, {"run": run})]


def last_signals(cursor: psycopg.Cursor[Any]) -> dict[str, Signal]:
    """Read the newest signal of each instrument; see `Ledger.last_signals`."""
    return {signal.instrument: signal for signal in map(_signal, cursor.execute(_LAST))}


def _signal(row: Sequence[Any]) -> Signal:
    run, name, tf, start, side, target, reason, price, decided_at = row
    return Signal(run, name, tf, micros(start), side, target, reason, price, micros(decided_at))
