"""Which trades of the dataflow another author (a repair, a backfill, an import) may have stored already.

The dataflow tells trades apart by what it has seen itself; what others write beside it, it does not know. They write
what lies behind its newest trades, so that only rows from there have to be looked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from core.continuity_in_time import SPACE
from core.timeframes import MINUTE

Key = tuple[str, str]
"""An instrument's name and the id space of its trades."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Hold the rows ``low`` to ``high`` - 1 of a table, of one instrument and id space: their bounds.

    ``first`` and ``last`` are ids; where ids do not chain, event times (µs), as ``first_ts`` is.
    """

    key: Key
    low: int
    high: int
    first: int
    last: int
    first_ts: int


class Frontier:
    """Know the newest trade of each instrument and id space: what lies above it nobody else has stored.

    By its id where ids chain, else by its event time.
    """

    def __init__(self) -> None:
        self._newest: dict[Key, int] = {}

    def strange(self, found: Sequence[Stretch]) -> list[Stretch]:
        """Give the stretches of which nothing is known yet."""
        return [one for one in found if one.key not in self._newest]

    def behind(self, found: Sequence[Stretch]) -> list[Stretch]:
        """Give the stretches that reach behind the frontier; nothing does of who is strange."""
        return [one for one in found if one.first <= self._newest.get(one.key, one.first - 1)]

    def add(self, found: Sequence[Stretch]) -> None:
        """Note rows that are stored."""
        for one in found:
            self._newest[one.key] = max(one.last, self._newest.get(one.key, one.last))

    def ask(self, connection: duckdb.DuckDBPyConnection, strange: Sequence[Stretch]) -> None:
        """Learn from the lake how far it holds trades that are not older than these.

        What is older than they are lies behind the frontier as soon as they are stored themselves.
        """
        if not strange:
            return
        names = sorted({one.key[0] for one in strange})
        oldest = min(one.first_ts for one in strange) - MINUTE
        rows = connection.execute(
            "SELECT t.instrument, t.id_space, max(t.trade_id), epoch_us(max(t.ts)) FROM lake.trades t"
            " WHERE t.instrument IN (SELECT unnest($names)) AND t.day >= make_timestamptz($oldest)::DATE"
            " AND t.ts >= make_timestamptz($oldest) GROUP BY ALL",
            {"names": names, "oldest": oldest},
        ).fetchall()
        wanted = {one.key for one in strange}
        for name, space, newest_id, newest_ts in rows:
            if (name, space) in wanted:
                self._newest[name, space] = newest_ts if space == SPACE else newest_id


def stretches(rows: pa.Table) -> list[Stretch]:
    """Give the stretches of one instrument and id space in a table of trades that `storage.lake.order` has sorted."""
    names: list[Any] = [rows.column(name).combine_chunks() for name in ("instrument", "id_space")]
    codes = [np.asarray(name.indices) for name in names]
    changes = (codes[0][1:] != codes[0][:-1]) | (codes[1][1:] != codes[1][:-1])
    low = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(changes) + 1))
    ids, ts = _bounds(rows, "trade_id", low), _bounds(rows, "ts", low)
    found = []
    for at, (begin, end) in enumerate(zip(low.tolist(), [*low[1:].tolist(), rows.num_rows], strict=True)):
        instrument, space = (
            name.dictionary[int(code[begin])].as_py() for name, code in zip(names, codes, strict=True)
        )
        first, last = ts if space == SPACE else ids
        found.append(Stretch((instrument, space), begin, end, int(first[at]), int(last[at]), int(ts[0][at])))
    return found


def stored(connection: duckdb.DuckDBPyConnection, rows: pa.Table, margin: int) -> NDArray[np.int64]:
    """Give the positions of the rows that the lake holds, by (instrument, id space, id).

    They are looked for in the time that the rows span, and ``margin`` µs on either side: a venue may tell the time
    of a trade in finer steps on one way than on another.
    """
    ends = pa.compute.min_max(rows.column("ts").cast(pa.int64()))
    low, high = ends["min"].as_py() - margin, ends["max"].as_py() + margin
    positions = pa.array(np.arange(rows.num_rows))
    return _stored(connection, rows.append_column("position", positions), low, high)


def repeated(rows: pa.Table, found: Sequence[Stretch]) -> NDArray[np.int64]:
    """Give the positions of the rows whose trade stands further up in the same table, where ids do not chain.

    Of such trades the dataflow remembers only the latest: what the recorder fetched again from before comes new.
    """
    ids = rows.column("trade_id").combine_chunks().to_numpy()
    positions = [np.zeros(0, np.int64)]
    for one in found:
        if one.key[1] != SPACE:
            continue
        sought = ids[one.low : one.high]
        ordered = np.sort(sought)
        # Nearly always there is none, and a sort without positions costs a fraction of one with them.
        if (ordered[1:] == ordered[:-1]).any():
            again = np.ones(len(sought), np.bool_)
            again[np.unique(sought, return_index=True)[1]] = False
            positions.append(one.low + np.flatnonzero(again))
    return np.concatenate(positions)


def without(rows: pa.Table, positions: NDArray[np.int64]) -> pa.Table:
    """Give the rows but those at the positions."""
    kept = np.ones(rows.num_rows, np.bool_)
    kept[positions] = False
    return rows if kept.all() else rows.filter(pa.array(kept))


def _stored(connection: duckdb.DuckDBPyConnection, sought: pa.Table, low: int, high: int) -> NDArray[np.int64]:
    found = connection.execute(
        "SELECT n.position FROM sought n SEMI JOIN ("
        " SELECT t.instrument, t.id_space, t.trade_id FROM lake.trades t"
        " WHERE t.instrument IN (SELECT unnest($names))"
        " AND t.day BETWEEN make_timestamptz($low)::DATE AND make_timestamptz($high)::DATE"
        " AND t.ts BETWEEN make_timestamptz($low) AND make_timestamptz($high)"
        ") s ON s.instrument = n.instrument AND s.id_space = n.id_space AND s.trade_id = n.trade_id",
        {"names": sought.column("instrument").unique().to_pylist(), "low": low, "high": high},
    ).fetchnumpy()
    return np.asarray(found["position"], np.int64)


def _bounds(rows: pa.Table, column: str, low: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    values = rows.column(column).combine_chunks()
    numbers = np.asarray(values.view(pa.int64()) if pa.types.is_timestamp(values.type) else values)
    return np.minimum.reduceat(numbers, low), np.maximum.reduceat(numbers, low)
