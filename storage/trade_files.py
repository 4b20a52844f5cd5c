"""Files of trades: Parquet and CSV, read column by column under the names that venues and tools give them."""

import csv
import glob
import gzip
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from core.candle_kernel import SCALE
from core.errors import IntegrityError, UserError
from core.exact import to_integers
from core.trades import TradeBatch
from storage.recordings import unpacked
from storage.trade_columns import Column, TradeColumns

# Binance's public dumps have no header: the columns of `trades` and of `aggTrades` files.
_HEADERLESS = {
    7: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
    8: ("agg_trade_id", "price", "qty", "first_id", "last_id", "transact_time", "is_buyer_maker", "is_best_match"),
}
_ROWS = 8_192
_HEAD = 65_536
_MEMORY = "512MB"


class TradeFiles:
    """Read trades of one instrument from files, in event order, whatever the order of the files and their rows.

    Close it after use. Raises `UserError` on construction where a file cannot be read, lacks a column, holds
    trades of several instruments, or a value that is no trade (a time out of range, a price or size that is not
    positive or has more than 15 significant digits). What does not fit into half a gigabyte of memory is sorted
    in temporary files.
    """

    def __init__(self, paths: Sequence[Path], instrument: str) -> None:
        self.instrument = instrument
        self.id_space = ""
        spill = Path(tempfile.gettempdir()) / f"tidemill-sort-{os.getpid()}"
        self._session = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "memory_limit": _MEMORY,
                "temp_directory": str(spill),
            },
        )
        try:
            self._session.execute("SET TimeZone = 'UTC'")
            self.count = self._open(paths)
        except BaseException:
            self.close()
            raise
        self.records = -(-self.count // _ROWS)

    def batches(self) -> Iterator[TradeBatch]:
        """Yield the trades in order of (event time, id), some thousand at a time."""
        reader = self._session.execute("SELECT * FROM rows ORDER BY ALL").to_arrow_reader(_ROWS)
        for rows in reader:
            if rows.num_rows:
                yield self._batch(rows)

    def close(self) -> None:
        """Let the files go."""
        self._session.close()

    def _open(self, paths: Sequence[Path]) -> int:
        spaces, symbols = set(), []
        for number, path in enumerate(paths):
            columns = self._add(path, number)
            spaces.add(columns.id_space)
            if columns.symbol is not None:
                symbols.append(f"SELECT {columns.symbol.text} AS symbol FROM source{number}")  # noqa: S608 - quoted
        if len(spaces) > 1:
            raise UserError("these files mix trades with aggregate trades: replay one kind at a time")
        self.id_space = spaces.pop()
        self._refuse_other_instruments(symbols)
        names = "ts, trade_id, price, size, side, fills"
        union = " UNION ALL ".join(f"SELECT {names} FROM file{n}" for n in range(len(paths)))  # noqa: S608 - own names
        self._session.execute(f"CREATE VIEW rows AS {union}")
        (count,) = self._session.execute("SELECT count(*) FROM rows").fetchone() or (0,)
        if not count:
            raise UserError(f"there are no trades in {', '.join(map(str, paths))}: nothing to replay")
        for rows in self._session.execute("SELECT * FROM rows").to_arrow_reader(_ROWS):
            if rows.num_rows:
                _refuse_inexact(self._batch(rows))
        return int(count)

    def _batch(self, rows: pa.RecordBatch) -> TradeBatch:
        ts = np.asarray(rows.column("ts"))
        return TradeBatch(
            self.instrument,
            self.id_space,
            np.asarray(rows.column("trade_id")),
            ts,
            ts,
            np.asarray(rows.column("price")),
            np.asarray(rows.column("size")),
            np.asarray(rows.column("side")),
            np.asarray(rows.column("fills")),
            np.full(rows.num_rows, -1, dtype=np.int64),
        )

    def _add(self, path: Path, number: int) -> TradeColumns:
        source, names = _source(path)
        try:
            self._session.execute(f"CREATE VIEW source{number} AS SELECT * FROM {source}")  # noqa: S608 - quoted
            described = self._session.execute(f"DESCRIBE source{number}").fetchall()
        except duckdb.Error as error:
            raise _unreadable(path, error) from None
        columns = TradeColumns(
            path,
            [Column(names[i] if names else key, key, kind) for i, (key, kind, *_) in enumerate(described)],
        )
        self._session.execute(f"CREATE VIEW file{number} AS SELECT {columns.select()} FROM source{number}")  # noqa: S608 - quoted
        self._refuse_bad_rows(path, number)
        return columns

    def _refuse_bad_rows(self, path: Path, number: int) -> None:
        query = f"""
            SELECT trade_id, ts, price, size, side, fills FROM file{number}
            WHERE trade_id IS NULL OR trade_id < 0 OR ts IS NULL
               OR ts NOT BETWEEN 1230768000000000 AND 4102444800000000
               OR price IS NULL OR size IS NULL OR side IS NULL OR fills IS NULL OR fills < 1
               OR NOT (price > 0 AND price < 1e12) OR NOT (size > 0 AND size < 1e13)
               OR isnan(price) OR isnan(size) OR price * size > 1e14
            LIMIT 1"""  # noqa: S608 - a name of our own
        try:
            row = self._session.execute(query).fetchone()
        except duckdb.Error as error:
            raise _unreadable(path, error) from None
        if row is not None:
            named = zip(("trade id", "time", "price", "size", "taker side", "fills"), row, strict=True)
            what = ", ".join(f"{name} {'unreadable' if value is None else value}" for name, value in named)
            raise UserError(f"{path} holds a row that is no trade ({what}): mend or remove it; nothing was stored")

    def _refuse_other_instruments(self, symbols: Sequence[str]) -> None:
        if not symbols:
            return
        query = f"SELECT DISTINCT symbol FROM ({' UNION ALL '.join(symbols)}) ORDER BY ALL LIMIT 4"  # noqa: S608 - quoted
        found = [str(symbol) for (symbol,) in self._session.execute(query).fetchall()]
        if len(found) > 1:
            raise UserError(
                f"these files hold trades of several instruments ({', '.join(s[:40] for s in found)}): "
                "replay those of one at a time"
            )
        if found and ":" in found[0] and found[0] != self.instrument:
            raise UserError(f"these are trades of {found[0][:80]}, not of {self.instrument}: mend --instrument")


def _source(path: Path) -> tuple[str, list[str]]:
    """Give the SQL that reads a file, and its columns' names where it is CSV."""
    with unpacked(path) as file:
        head = file.read(_HEAD)
        packed = isinstance(file, gzip.GzipFile)
        while packed and file.read(1 << 20):
            # DuckDB takes a gzip that is cut off for a whole one; this reads it to its end.
            pass
    quoted = "'" + glob.escape(str(path)).replace("'", "''") + "'"
    if head[:4] == b"PAR1":
        return f"read_parquet({quoted}, hive_partitioning = false)", []
    if b"\x00" in head:
        raise UserError(f"{path} is neither Parquet nor CSV: name a file of trades in one of these")
    delimiter, names, header = _header(path, head)
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(names)))
    compression = "gzip" if packed else "none"
    return (
        f"read_csv({quoted}, auto_detect = false, columns = {{{columns}}}, header = {header}, delim = '{delimiter}', "
        f"quote = '\"', escape = '\"', compression = '{compression}', hive_partitioning = false)",
        names,
    )


def _header(path: Path, head: bytes) -> tuple[str, list[str], bool]:
    """Give the delimiter, the columns' names, and whether they stand in the first line."""
    if not head.strip():
        raise UserError(f"{path} is empty: there is nothing to replay")
    line = head.splitlines()[0]
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8: convert it, for example with iconv -t UTF-8") from None
    delimiter = max(",;\t|", key=text.count)
    names = next(csv.reader([text], delimiter=delimiter), [])
    if names and names[0].strip().isdigit():
        if len(names) not in _HEADERLESS:
            raise UserError(f"{path} has no line of column names, and {len(names)} columns are no dump of Binance's")
        return delimiter, list(_HEADERLESS[len(names)]), False
    return delimiter, names, True


def _unreadable(path: Path, error: duckdb.Error) -> UserError:
    text = str(error).partition("\nPossible")[0].replace("Invalid Input Error: ", "")
    reason = " ".join(text.split())
    return UserError(f"cannot read {path}: {reason[:300]}; mend or remove what is wrong, nothing was stored")


def _refuse_inexact(batch: TradeBatch) -> None:
    scales = np.zeros(len(batch), dtype=np.int64)
    for what, values in (("price", batch.price), ("size", batch.size)):
        try:
            scales += to_integers(values, smallest=True)[1]
        except IntegrityError as error:
            raise UserError(f"a {what} cannot be kept exactly: {error}; nothing was stored") from None
    wide = np.flatnonzero(scales > SCALE)
    if len(wide):
        raise UserError(
            f"price × size of the trade {batch.ids[wide[0]]} has more than {SCALE} decimals: "
            "it cannot be kept exactly; nothing was stored"
        )
