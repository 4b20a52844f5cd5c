"""What the lake does not hold yet of quotes, mark prices and the venue's candles: nothing else tells repetitions.

Trades are told apart by their ids before they come here. A recording that is replayed a second time, or a venue
that tells its last candles with every subscription, would otherwise be stored again.
"""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from storage.lake.tables import TABLES

_ARRIVAL = "received"


class Newest:
    """Know the newest time of each instrument in the lake, so that what is newer is new.

    The lake is asked when an instrument comes for the first time; afterwards this process is the one that writes it.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], int] = {}

    def surely_new(self, connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> bool:
        """Tell whether all rows are newer than those that are stored, and no candle stands there twice."""
        spans = _spans(table, rows)
        self._ask(connection, table, [(key, first) for key, first, _ in spans if key not in self._known])
        keys = [*TABLES[table].names, TABLES[table].time]
        twice = table == "venue_candles" and rows.group_by(keys).aggregate([]).num_rows < rows.num_rows
        return not twice and all(first > self._known[key] for key, first, _ in spans)

    def _ask(
        self, connection: duckdb.DuckDBPyConnection, table: str, strange: Sequence[tuple[tuple[str, ...], int]]
    ) -> None:
        if not strange:
            return
        one, oldest = TABLES[table], min(first for _, first in strange)
        names = ", ".join(f't."{name}"' for name in one.names)
        found = connection.execute(
            f'SELECT {names}, epoch_us(max(t."{one.time}")) FROM lake.{table} t'  # noqa: S608 - our own names
            " WHERE t.instrument IN (SELECT unnest($names))"
            f" AND t.\"{one.partition}\" >= date_trunc('{one.partition}', make_timestamptz($oldest))::DATE"
            f' AND t."{one.time}" >= make_timestamptz($oldest) GROUP BY ALL',
            {"names": sorted({key[1 + one.names.index("instrument")] for key, _ in strange}), "oldest": oldest},
        ).fetchall()
        newest = {(table, *key): last for *key, last in found}
        self._known |= {key: newest.get(key, first - 1) for key, first in strange}

    def add(self, table: str, rows: pa.Table) -> None:
        """Note rows that are stored."""
        for key, _, last in _spans(table, rows):
            self._known[key] = max(last, self._known.get(key, last))


def unstored(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> pa.Table:
    """Give the rows that the table lacks, each once.

    A quote or mark price is the same where all of it is; a candle where all is but the time of receipt.
    """
    one = TABLES[table]
    columns = ", ".join(f'n."{name}"' for name in one.schema.names)
    same = [name for name in one.schema.names if name != _ARRIVAL or table != "venue_candles"]
    alike = " AND ".join(f't."{name}" IS NOT DISTINCT FROM n."{name}"' for name in same)
    first_told = ", ".join(f'n."{name}"' for name in same)
    ends = pa.compute.min_max(rows.column(one.time))
    bounds = [ends["min"].as_py(), ends["max"].as_py()]
    found = connection.execute(
        f"SELECT {columns} FROM rows n ANTI JOIN ("  # noqa: S608 - our own names
        f' SELECT * FROM lake.{table} WHERE "{one.partition}" BETWEEN'
        f" date_trunc('{one.partition}', ?::TIMESTAMPTZ)::DATE AND ?::TIMESTAMPTZ::DATE"
        f' AND "{one.time}" BETWEEN ? AND ?) t ON {alike}'
        f' QUALIFY row_number() OVER (PARTITION BY {first_told} ORDER BY n."{_ARRIVAL}") = 1',
        [*bounds, *bounds],
    ).to_arrow_table()
    return found.cast(one.schema)


def _spans(table: str, rows: pa.Table) -> list[tuple[tuple[str, ...], int, int]]:
    names, time = TABLES[table].names, TABLES[table].time
    wanted = rows.select([*names, time]).set_column(len(names), time, rows.column(time).cast(pa.int64()))
    found = wanted.group_by(list(names)).aggregate([(time, "min"), (time, "max")])
    keys = zip(*(found.column(name).to_pylist() for name in names), strict=True)
    ends = (np.asarray(found.column(f"{time}_{end}")).tolist() for end in ("min", "max"))
    return [((table, *key), first, last) for key, first, last in zip(keys, *ends, strict=True)]
