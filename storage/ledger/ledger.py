"""The ledger: what is operated, in PostgreSQL. Every write may be repeated; twice is once."""

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg

from core.errors import Busy
from core.gaps import Coverage, DirtyMinute, Gap
from core.instruments import Instrument
from core.records import Quarantined
from core.signals import Signal
from storage.ledger import completeness, decisions, sources
from storage.ledger.address import Address
from storage.ledger.completeness import GapState
from storage.ledger.connection import connect, typed_errors
from storage.ledger.sources import QuarantineCount

_BETWEEN_TRIES = 0.02


class Ledger:
    """Read and write the ledger at an address, over one connection that is opened when it is needed.

    Close it, or use it as a context. It may be used from several threads, which then take turns. Times are
    µs since the epoch, UTC, and come back exactly as they went in.

    Every method raises `TransientError` when the server does not answer (the call may be repeated, and the
    next one connects anew), `UserError` where the schema is not there or the server refuses the user, and
    `IntegrityError` where the ledger contradicts what is written; nothing of a refused call is stored.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: psycopg.Connection[Any] | None = None
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; a later call would open a new one."""
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def record(
        self, gaps: Sequence[Gap] = (), coverage: Sequence[Coverage] = (), dirty: Sequence[DirtyMinute] = ()
    ) -> None:
        """Write what became known about completeness, in one transaction.

        Coverage is united: a range is joined with all that it overlaps or touches. A gap's count of missing
        ids only falls, its state never moves back. A dirty minute keeps the greatest offset of each feed.
        The order of rows, and of calls, does not matter.
        """
        if gaps or coverage or dirty:
            with self._transaction() as cursor:
                completeness.record(cursor, gaps, coverage, dirty)

    def give_up(self, gaps: Sequence[Gap]) -> None:
        """Mark gaps that are still open as unfillable: the venue has no more of them."""
        if gaps:
            with self._transaction() as cursor:
                completeness.give_up(cursor, gaps)

    def gaps(self, instrument: str | None = None, state: GapState | None = None) -> list[Gap]:
        """Give gaps, of one instrument and in one state where they are named, in order of their ids."""
        with self._transaction() as cursor:
            return completeness.known_gaps(cursor, instrument, state)

    def coverage(self, instrument: str, id_space: str, start: int, end: int) -> list[Coverage]:
        """Give the ranges with trades in [start, end), in order of their ids."""
        with self._transaction() as cursor:
            return completeness.covered(cursor, instrument, id_space, start, end)

    def dirty(self, committed: Mapping[str, int], limit: int = 1000) -> list[DirtyMinute]:
        """Give the rows of at most ``limit`` minutes that may be folded again, by instrument and minute.

        ``committed`` is the offset that the lake has committed of each feed. A minute is ready when each of
        its rows is: it names no feed, or an offset that is committed.
        """
        with self._transaction() as cursor:
            return completeness.ready(cursor, committed, limit)

    def clean(self, rows: Sequence[DirtyMinute]) -> None:
        """Forget minutes that were folded, as they were given by `dirty`; newer dirt stays."""
        if rows:
            with self._transaction() as cursor:
                completeness.clean(cursor, rows)

    def start_run(
        self,
        run: str,
        strategy: str,
        instrument: str,
        timeframe: str,
        params: Mapping[str, Any],
        code: str,
        warmed: tuple[int, int] = (0, 0),
    ) -> None:
        """Write a run, unless it is there; ``warmed`` counts the candles of the venue and of the lake."""
        with self._transaction() as cursor:
            decisions.start_run(cursor, run, strategy, instrument, timeframe, params, code, warmed)

    def stop_run(self, run: str, error: str | None = None) -> None:
        """Mark a run as stopped, or as failed with an error."""
        with self._transaction() as cursor:
            decisions.stop_run(cursor, run, error)

    def runs(self) -> dict[str, tuple[str, str | None]]:
        """Give the state of every run (running, stopped, failed) and what it failed of, by id."""
        with self._transaction() as cursor:
            return decisions.runs(cursor)

    def warmed(self) -> dict[str, tuple[int, int]]:
        """Give how many candles of the venue and of the lake each run was warmed with, by id."""
        with self._transaction() as cursor:
            return decisions.warmed(cursor)

    def insert_signals(self, signals: Sequence[Signal]) -> None:
        """Write signals, each once, in one transaction.

        Raise `IntegrityError` where one is stored under the same id with another content, or its run was
        never started.
        """
        if signals:
            with self._transaction() as cursor:
                decisions.insert_signals(cursor, signals)

    def signals(self, run: str | None = None) -> list[Signal]:
        """Give signals, of one run where it is named, in order of their candles."""
        with self._transaction() as cursor:
            return decisions.signals(cursor, run)

    def see_instruments(self, instruments: Sequence[Instrument], id_spaces: Mapping[str, str]) -> None:
        """Write instruments that are not there; fill in steps and id spaces that were not known before.

        ``id_spaces`` gives the id space by the instrument's name, where there is one.
        """
        if instruments:
            with self._transaction() as cursor:
                sources.see_instruments(cursor, instruments, id_spaces)

    def list_instruments(self, listed: Sequence[tuple[Instrument, int]]) -> None:
        """Write what venues say of instruments, each with when they were told (µs since the epoch, UTC), in order.

        The instruments are as the latest of them says; each change is kept in ``instrument_changes``.
        """
        if listed:
            with self._transaction() as cursor:
                sources.list_instruments(cursor, listed)

    def id_spaces(self) -> dict[str, str]:
        """Give the id space of every instrument that has trades, by name."""
        with self._transaction() as cursor:
            return sources.id_spaces(cursor)

    def register_feed(self, name: str, venue: str) -> None:
        """Write a feed, unless it is there; raise `IntegrityError` where it belongs to another venue."""
        with self._transaction() as cursor:
            sources.register_feed(cursor, name, venue)

    def feeds(self) -> dict[str, str]:
        """Give the venue of every feed."""
        with self._transaction() as cursor:
            return sources.feeds(cursor)

    def quarantine(self, rows: Sequence[Quarantined], keep: int = 10_000) -> None:
        """Keep records that could not be read: the newest ``keep`` of a feed; what is dropped is counted.

        Of each the first `Quarantined.KEPT_BYTES` bytes are kept.
        """
        if rows:
            with self._transaction() as cursor:
                sources.quarantine(cursor, rows, keep)

    def quarantined(self) -> dict[str, QuarantineCount]:
        """Count the records that could not be read, by feed."""
        with self._transaction() as cursor:
            return sources.quarantined(cursor)

    def unreadable(self, feed: str, limit: int = 100) -> list[Quarantined]:
        """Give the newest records of a feed that could not be read."""
        with self._transaction() as cursor:
            return sources.unreadable(cursor, feed, limit)

    def last_signals(self) -> dict[str, Signal]:
        """Give the newest signal of each instrument that has one, by the instrument's name."""
        with self._transaction() as cursor:
            return decisions.last_signals(cursor)

    def ping(self) -> None:
        """Ask the server for a sign of life."""
        with self._transaction() as cursor:
            cursor.execute("SELECT 1")

    @contextmanager
    def lease(self, name: str, patience: float = 0.0) -> Iterator[None]:
        """Hold a lease, on a connection of its own; raise `Busy` naming the process that holds it.

        The server ends the lease with the connection, however the process ends. Another holder is waited for, for
        ``patience`` seconds.
        """
        key = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
        deadline = time.monotonic() + patience
        connection = connect(self._address, self._address.ledger_db)
        try:
            with typed_errors(self._address):
                while not _taken(connection, key):
                    if time.monotonic() >= deadline:
                        raise Busy(f"{name!r} is held by {_holder(connection, key)}: wait for it, or stop it")
                    time.sleep(_BETWEEN_TRIES)
            yield
        finally:
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        with self._turn:
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._address, self._address.ledger_db)
            with typed_errors(self._address), self._connection.transaction(), self._connection.cursor() as cursor:
                yield cursor


_HOLDER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
  AND classid::bigint = (%(key)s::bigint >> 32) & 4294967295 AND objid::bigint = %(key)s::bigint & 4294967295
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def _taken(connection: psycopg.Connection[Any], key: int) -> bool:
    found = connection.execute("SELECT pg_try_advisory_lock(%s)", [key]).fetchone()
    return bool(found and found[0])


def _holder(connection: psycopg.Connection[Any], key: int) -> str:
    found = connection.execute(_HOLDER, {"key": key}).fetchone()
    return f"process {found[0].removeprefix('tidemill ')}" if found else "another process"
