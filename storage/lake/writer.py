"""The one way into the lake: rows and the offsets that they stand for, in one transaction."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa

from core.errors import IntegrityError, TransientError
from core.timeframes import HOUR, MINUTE
from storage.lake import data_files
from storage.lake.errors import Conflict, typed_errors
from storage.lake.frontier import Frontier, Stretch, repeated, stored, stretches, without
from storage.lake.inlined import prune_inlined
from storage.lake.order import in_order
from storage.lake.session import is_remote, quoted
from storage.lake.tables import TABLES
from storage.lake.unstored import Newest, unstored

_PRUNE_EVERY = 256
_TRIES = 8
"""So often a commit is begun again where another author's came first."""

_LONGEST_PAUSE = 0.05
T = TypeVar("T")
_NOTHING: Mapping[str, Sequence[pa.RecordBatch]] = {}


class LakeWriter:
    """Write rows of one partition of a dataflow to the lake, and remember how far its feeds have come.

    Use one writer in one thread. After an error that is not about the arguments make a new one: an answer lost
    on the way leaves open whether the commit was made, and the stored offsets tell.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, partition: str) -> None:
        self._connection = connection
        self._partition = partition
        with typed_errors():
            row = connection.execute("SELECT data_path FROM ducklake_settings('lake')").fetchone()
        self._path = row[0] if row else ""
        self._offsets = self._stored()
        self._commits = 0
        self._newest = Newest()
        self._frontier = Frontier()

    def offsets(self) -> dict[str, int]:
        """Give the last committed offset of each feed."""
        return dict(self._offsets)

    def commit(
        self,
        trades: Sequence[pa.RecordBatch],
        candles: Sequence[pa.RecordBatch],
        offsets: Mapping[str, int],
        told: Mapping[str, Sequence[pa.RecordBatch]] = _NOTHING,
    ) -> dict[str, int]:
        """Store rows and offsets in one transaction; return how many of ``trades`` and ``told`` were new, by table.

        ``trades`` are under `TRADES_SCHEMA`, ``candles`` under `CANDLES_SCHEMA`, in any order. ``told`` are rows of
        ``quotes``, ``mark_prices`` and ``venue_candles``: those that are stored already are left out, and so are
        trades that another author has added (`add_trades`), or that come twice where ids do not chain. Raises
        `IntegrityError` where an offset would move back or another writer of the partition has committed,
        `TransientError` where the server is away or other commits came first, again and again. Nothing is stored
        then.
        """
        moved = {feed: offset for feed, offset in offsets.items() if offset != self._offsets.get(feed)}
        for feed, offset in moved.items():
            if offset < self._offsets.get(feed, offset):
                raise IntegrityError(
                    f"feed {feed!r}: offset {offset} is before the committed {self._offsets[feed]}, nothing stored"
                )
        tables = {**_tables({"trades": trades, "candles": candles}), **(heard := _tables(told))}
        if not tables and not moved:
            return {}
        # Feeds that stand still are touched as well when rows come, so that a second writer always conflicts.
        reached = dict(offsets) if tables else moved
        counts = self._until_alone(lambda: self._commit(tables, heard, reached))
        self._offsets.update(moved)
        for name, rows in heard.items():
            self._newest.add(name, rows)
        self._prune()
        return counts

    def _commit(
        self, tables: Mapping[str, pa.Table], heard: Mapping[str, pa.Table], reached: Mapping[str, int]
    ) -> dict[str, int]:
        counts = dict.fromkeys(heard, 0)
        found: list[Stretch] = []
        with self._transaction() as write:
            for name, rows in tables.items():
                new = rows
                if name in heard and not self._newest.surely_new(self._connection, name, rows):
                    new = unstored(self._connection, name, rows)
                new = in_order(name, new) if new.num_rows else new
                if name == "trades":
                    new, found = _once(new)
                    new = self._not_added(new, found)
                if new.num_rows:
                    write(name, new)
                if name != "candles":
                    counts[name] = new.num_rows
            for feed, offset in reached.items():
                self._set(feed, offset)
        self._frontier.add(found)
        return counts

    def _not_added(self, rows: pa.Table, found: Sequence[Stretch]) -> pa.Table:
        """Give the trades that the lake does not hold; see to it that no other author adds them meanwhile."""
        strange = self._frontier.strange(found)
        self._frontier.ask(self._connection, strange)
        doubtful = self._frontier.behind(found)
        if strange or doubtful:
            self._exclude_others()
        if not doubtful:
            return rows
        places = np.concatenate([np.arange(one.low, one.high) for one in doubtful])
        return without(rows, places[stored(self._connection, rows.take(pa.array(places)), MINUTE)])

    def revise(self, candles: Sequence[pa.RecordBatch]) -> None:
        """Append later revisions of candles; raise `IntegrityError` where a stored one is not older."""
        rows = _tables({"candles": candles}).get("candles")
        if rows is None:
            return
        with self._transaction() as write:
            clash = self._connection.execute(
                "SELECT n.instrument, n.timeframe, n.start FROM rows n JOIN lake.candles c"
                " ON c.instrument = n.instrument AND c.timeframe = n.timeframe AND c.start = n.start"
                " AND c.revision >= n.revision WHERE c.start BETWEEN ? AND ? LIMIT 1",
                _bounds(rows, "start"),
            ).fetchone()
            if clash:
                raise IntegrityError(f"{clash[0]} {clash[1]} {clash[2]}: this revision or a later one is stored")
            write("candles", in_order("candles", rows))

    def add_trades(self, trades: Sequence[pa.RecordBatch]) -> int:
        """Store the trades that are not there yet, by (instrument, id space, id); return how many.

        For other authors than the dataflow, who hold the instrument's advisory lock. A trade is looked for in the
        time that the input spans, an hour more on either side. Raises as `commit` does.
        """
        rows = _tables({"trades": trades}).get("trades")
        if rows is None:
            return 0
        first = rows.append_column("position", pa.array(np.arange(rows.num_rows)))
        first = first.group_by(["instrument", "id_space", "trade_id"]).aggregate([("position", "min")])
        once = in_order("trades", rows.take(first.column("position_min")))
        added = self._until_alone(lambda: self._add(once))
        self._prune()
        return added

    def _add(self, rows: pa.Table) -> int:
        with self._transaction() as write:
            new = without(rows, stored(self._connection, rows, HOUR))
            if new.num_rows:
                self._exclude_others()
                write("trades", new)
        return int(new.num_rows)

    def _exclude_others(self) -> None:
        """Conflict with every other transaction that looks for trades before it stores some.

        Without, two of them would each not see the rows of the other: DuckLake has no unique keys.
        """
        self._connection.execute("UPDATE lake.meta SET version = version")

    def _until_alone(self, commit: Callable[[], T]) -> T:
        for _ in range(_TRIES - 1):
            try:
                return commit()
            except Conflict:
                time.sleep(random.uniform(0, _LONGEST_PAUSE))  # noqa: S311 - no secret
        return commit()

    def _prune(self) -> None:
        self._commits += 1
        if self._commits % _PRUNE_EVERY == 0:
            # What is stored is stored: that housekeeping failed is no failure of the commit.
            with contextlib.suppress(TransientError):
                prune_inlined(self._connection)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Callable[[str, pa.Table], None]]:
        files: list[Path] = []

        def write(table: str, rows: pa.Table) -> None:
            self._insert(table, rows, files)

        sent = False
        try:
            with typed_errors():
                self._connection.execute("BEGIN")
                yield write
                sent = True
                self._connection.execute("COMMIT")
        except BaseException as error:
            # A commit may have been made before its answer was lost: its files stay, orphans are found later.
            self._roll_back([] if sent else files)
            if isinstance(error, TransientError):
                raise self._explained(error) from None
            raise

    def _insert(self, table: str, rows: pa.Table, files: list[Path]) -> None:
        for folder, part in data_files.partitions(table, rows):
            if is_remote(self._path):
                self._connection.execute(f"INSERT INTO lake.{table} FROM part")
                continue
            path = data_files.write(Path(self._path) / "main" / table / folder, part)
            files.append(path)
            self._connection.execute(
                f"CALL ducklake_add_data_files('lake', '{table}', {quoted(str(path))}, hive_partitioning => true)"
            )

    def _set(self, feed: str, offset: int) -> None:
        known = self._offsets.get(feed)
        if known is None:
            # Rows have no unique keys here: two first commits at once conflict over another row instead.
            self._exclude_others()
            stored = self._stored()
            if feed not in stored:
                self._connection.execute("INSERT INTO lake.offsets VALUES (?, ?, ?)", [self._partition, feed, offset])
                return
        row = self._connection.execute(
            'UPDATE lake.offsets SET "offset" = ? WHERE "partition" = ? AND feed = ? AND "offset" = ?',
            [offset, self._partition, feed, known],
        ).fetchone()
        if not row or row[0] != 1:
            raise IntegrityError(self._second_writer())

    def _stored(self) -> dict[str, int]:
        with typed_errors():
            rows = self._connection.execute(
                'SELECT feed, "offset" FROM lake.offsets WHERE "partition" = ?', [self._partition]
            ).fetchall()
        if len({feed for feed, _ in rows}) != len(rows):
            raise IntegrityError(
                f"partition {self._partition!r} has two offsets for one feed: stop and verify the lake"
            )
        return dict(rows)

    def _explained(self, error: TransientError) -> Exception:
        try:
            changed = self._stored() != self._offsets
        except TransientError:
            return error
        return IntegrityError(self._second_writer()) if changed else error

    def _second_writer(self) -> str:
        return f"another writer has committed partition {self._partition!r}: stop one of the two"

    def _roll_back(self, files: list[Path]) -> None:
        # A failed COMMIT has ended the transaction already, a lost server too.
        with contextlib.suppress(duckdb.Error):
            self._connection.execute("ROLLBACK")
        for path in files:
            path.unlink(missing_ok=True)


def _tables(batches: Mapping[str, Sequence[pa.RecordBatch]]) -> dict[str, pa.Table]:
    return {
        name: pa.Table.from_batches(rows, TABLES[name].schema)
        for name, rows in batches.items()
        if any(batch.num_rows for batch in rows)
    }


def _once(rows: pa.Table) -> tuple[pa.Table, list[Stretch]]:
    found = stretches(rows)
    again = repeated(rows, found)
    if len(again) == 0:
        return rows, found
    rows = without(rows, again)
    return rows, stretches(rows)


def _bounds(rows: pa.Table, column: str) -> list[object]:
    ends = pa.compute.min_max(rows.column(column))
    return [ends["min"].as_py(), ends["max"].as_py()]
