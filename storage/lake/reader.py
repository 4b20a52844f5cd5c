"""What others read from the lake."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import duckdb
import numpy as np
import pyarrow as pa

from core.candles import CANDLES_SCHEMA, Candle, candles_from_arrow
from core.errors import IntegrityError
from core.timeframes import BASE, DAY, Timeframe, timeframe
from core.trades import TRADES_SCHEMA, TradeBatch
from storage.lake.errors import typed_errors
from storage.lake.session import quoted
from storage.lake.views import latest, rolled

_BATCH_ROWS = 122_880


def trades(
    connection: duckdb.DuckDBPyConnection, instrument: str, start: int, end: int, id_space: str | None = None
) -> TradeBatch | None:
    """Read the trades of an instrument in [start, end) (µs, UTC), in event order; None for none.

    ``offset`` is -1 in every row. Raises `IntegrityError` where ids of two spaces are stored in the range and
    ``id_space`` does not choose one: two streams of a venue are never mixed.
    """
    wanted = _where("t.", "ts", instrument, start, end) + (
        f" AND t.id_space = {quoted(id_space)}" if id_space else ""
    )
    with typed_errors():
        rows = connection.execute(
            f"SELECT {_columns('t.')} FROM lake.trades t WHERE {wanted}"  # noqa: S608 - quoted above
            " ORDER BY t.ts, t.trade_id"
        ).to_arrow_table()
    if rows.num_rows == 0:
        return None
    spaces = sorted(str(space) for space in rows.column("id_space").unique().to_pylist())
    if len(spaces) > 1:
        raise IntegrityError(f"{instrument} has trades of the id spaces {' and '.join(spaces)}: choose one")
    read = TradeBatch.from_arrow(rows.cast(TRADES_SCHEMA).combine_chunks().to_batches()[0])
    return read if read.ids.min() >= 0 else read.in_event_order()


def trade_batches(
    connection: duckdb.DuckDBPyConnection, instrument: str | None, start: int, end: int
) -> Iterator[pa.RecordBatch]:
    """Stream trades in [start, end) (µs, UTC) under `TRADES_SCHEMA`, of one or (None) of all instruments.

    Each batch holds rows of one instrument and id space, so that `TradeBatch.from_arrow` reads it; those of one
    instrument and id space come in order of (ts, trade id), which is that of events where ids count. Days follow each
    other; memory is that of a day.
    """
    for day in _days(connection, instrument, start, end):
        low, high = max(start, day), min(end, day + DAY)
        with typed_errors():
            # A cursor of its own: the caller may ask other things between two batches.
            reader = (
                connection.cursor()
                .execute(
                    f"SELECT {_columns('t.')} FROM lake.trades t"  # noqa: S608 - quoted in _where
                    f" WHERE {_where('t.', 'ts', instrument, low, high)}"
                    " ORDER BY t.instrument, t.id_space, t.ts, t.trade_id"
                )
                .to_arrow_reader(_BATCH_ROWS)
            )
            for rows in reader:
                yield from _one_instrument_each(rows.cast(TRADES_SCHEMA))


def latest_candles(
    connection: duckdb.DuckDBPyConnection, instrument: str, timeframe_name: str, start: int, end: int
) -> list[Candle]:
    """Read the candles that begin in [start, end) (µs, UTC), each in its latest revision, in order of start."""
    with typed_errors():
        return _candles(connection, _query(timeframe(timeframe_name), instrument, start, end) + " ORDER BY start")


def history(
    connection: duckdb.DuckDBPyConnection,
    instrument: str,
    timeframe_name: str,
    before: int,
    count: int,
    *,
    authored: bool = False,
) -> list[Candle]:
    """Read the last ``count`` candles that begin before a time (µs, UTC), in order of start.

    There may be fewer. Candles of every timeframe, folded as the view ``candles`` does: from the latest revision, or
    (``authored``) from revision 0 alone, which nothing that comes later changes.
    """
    tf = timeframe(timeframe_name)
    length = tf.end(tf.floor(before)) - tf.floor(before)
    base = tf.name if tf in BASE else "1m"
    with typed_errors():
        first = connection.execute(
            "SELECT epoch_us(min(start)) FROM lake.candles WHERE instrument = ? AND timeframe = ?", [instrument, base]
        ).fetchone()
        if first is None or first[0] is None or count <= 0:
            return []
        span = 2 * count * length
        while True:
            # A stretch without candles makes the range longer, never the answer shorter.
            found = _candles(
                connection,
                _query(tf, instrument, before - span, before, authored) + f" ORDER BY start DESC LIMIT {int(count)}",
            )
            if len(found) == count or before - span <= first[0]:
                return found[::-1]
            span *= 4


def instruments(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Give the instruments that have candles."""
    with typed_errors():
        return {name for (name,) in connection.execute("SELECT DISTINCT instrument FROM lake.candles").fetchall()}


def last_authored(connection: duckdb.DuckDBPyConnection, instruments: Iterable[str]) -> dict[str, int]:
    """Give the start (µs, UTC) of each instrument's last minute of revision 0; none for those without."""
    names = ", ".join(quoted(name) for name in instruments)
    if not names:
        return {}
    with typed_errors():
        rows = connection.execute(
            "SELECT instrument, epoch_us(max(start)) FROM lake.candles"  # noqa: S608 - quoted above
            f" WHERE timeframe = '1m' AND revision = 0 AND instrument IN ({names}) GROUP BY instrument"
        ).fetchall()
    return dict(rows)


def _query(tf: Timeframe, instrument: str, start: int, end: int, authored: bool = False) -> str:
    if tf in BASE:
        return latest(tf, _where("c.", "start", instrument, start, end), authored)
    # Whole intervals, those that begin in the range.
    first, past = tf.floor(start), tf.end(tf.floor(end - 1))
    whole = rolled(tf, _where("c.", "start", instrument, first, past), authored)
    return f"SELECT * FROM ({whole}) WHERE epoch_us(start) >= {int(start)}"  # noqa: S608 - a number


def _candles(connection: duckdb.DuckDBPyConnection, query: str) -> list[Candle]:
    return candles_from_arrow(
        connection.execute(query).to_arrow_table().select(CANDLES_SCHEMA.names).cast(CANDLES_SCHEMA)
    )


def _days(connection: duckdb.DuckDBPyConnection, instrument: str | None, start: int, end: int) -> list[int]:
    with typed_errors():
        rows = connection.execute(
            "SELECT DISTINCT epoch_us(t.day) FROM lake.trades t"  # noqa: S608 - quoted in _where
            f" WHERE {_where('t.', 'ts', instrument, start, end)} ORDER BY 1"
        ).fetchall()
    return [day for (day,) in rows]


def _where(prefix: str, column: str, instrument: str | None, start: int, end: int) -> str:
    chosen = f" AND {prefix}instrument = {quoted(instrument)}" if instrument else ""
    column = prefix + column
    return f"{column} >= make_timestamptz({int(start)}) AND {column} < make_timestamptz({int(end)}){chosen}"


def _columns(prefix: str) -> str:
    return ", ".join(f"{prefix}{name}" for name in TRADES_SCHEMA.names)


def _one_instrument_each(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    changes = np.zeros(rows.num_rows - 1, dtype=np.bool_)
    for name in ("instrument", "id_space"):
        codes = np.asarray(rows.column(name).dictionary_encode().indices)
        changes |= codes[1:] != codes[:-1]
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), rows.num_rows]
    for low, high in pairwise(edges):
        yield rows.slice(low, high - low)
