"""Files of trades: Parquet and CSV, read column by column under the names that venues and tools give them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from core.candle_fold import to_integers
from core.errors import IntegrityError, UserError
from core.trades import TradeBatch

_NAMES = {
    "trade_id": ("trade_id", "tradeid", "id", "agg_trade_id", "aggtradeid", "a", "t"),
    "ts": ("timestamp", "ts", "time", "transact_time", "trade_time"),
    "price": ("price", "p"),
    "size": ("size", "quantity", "qty", "q", "amount"),
    "side": ("side", "taker_side", "is_buyer_maker", "isbuyermaker", "m"),
}
_AGGREGATE = {"agg_trade_id", "aggtradeid", "a"}
# Binance's public dumps have no header: the columns of `trades` and of `aggTrades` files.
_HEADERLESS = {
    7: ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
    8: ("agg_trade_id", "price", "qty", "first_id", "last_id", "transact_time", "is_buyer_maker", "is_best_match"),
}
_ROWS = 8_192
_DECIMAL = "[0-9]+([.][0-9]+)?"


class TradeFiles:
    """Read trades of one instrument from files, in event order, whatever the order of the files and their rows.

    Raises `UserError` on construction where a file cannot be read, lacks a column, or holds a value that is no
    trade (a time out of range, a price or size that is not positive or has more than 15 significant digits).
    """

    def __init__(self, paths: Sequence[Path], instrument: str) -> None:
        self.instrument = instrument
        self._session = duckdb.connect(":memory:", config={"autoinstall_known_extensions": "false"})
        self._session.execute("SET TimeZone = 'UTC'")
        spaces = {self._add(path, number) for number, path in enumerate(paths)}
        if len(spaces) > 1:
            raise UserError("these files mix trades with aggregate trades: replay one kind at a time")
        self.id_space = spaces.pop()
        union = " UNION ALL ".join(f"SELECT * FROM file{n}" for n in range(len(paths)))  # noqa: S608 - own names
        self._session.execute(f"CREATE VIEW rows AS {union}")
        (self.count,) = self._session.execute("SELECT count(*) FROM rows").fetchone() or (0,)
        self.records = -(-self.count // _ROWS)
        for batch in self.batches():
            _refuse_inexact(batch)

    def batches(self) -> Iterator[TradeBatch]:
        """Yield the trades in order of (event time, id), some thousand at a time."""
        reader = self._session.execute("SELECT * FROM rows ORDER BY ts, trade_id").to_arrow_reader(_ROWS)
        for rows in reader:
            if rows.num_rows:
                yield self._batch(rows)

    def _batch(self, rows: pa.RecordBatch) -> TradeBatch:
        n = rows.num_rows
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
            np.ones(n, dtype=np.int32),
            np.full(n, -1, dtype=np.int64),
        )

    def _add(self, path: Path, number: int) -> str:
        source = self._source(path)
        try:
            described = self._session.sql(f"DESCRIBE SELECT * FROM {source}").fetchall()  # noqa: S608 - quoted
        except duckdb.Error as error:
            raise UserError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
        kinds = {name: kind for name, kind, *_ in described}
        columns = _match(path, list(kinds))
        select = ", ".join(
            (
                f"{_whole(columns['trade_id'])} AS trade_id",
                f"{_time(columns['ts'], kinds[columns['ts']])} AS ts",
                f"{_number(columns['price'], kinds[columns['price']])} AS price",
                f"{_number(columns['size'], kinds[columns['size']])} AS size",
                f"{_taker_side(columns['side'])} AS side",
            )
        )
        self._session.execute(f"CREATE VIEW file{number} AS SELECT {select} FROM {source}")  # noqa: S608 - quoted
        self._refuse_bad_rows(path, number)
        return "aggregate" if columns["trade_id"].lower() in _AGGREGATE else "trade"

    def _source(self, path: Path) -> str:
        quoted = "'" + str(path).replace("'", "''") + "'"
        try:
            with path.open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None
        if head[:4] == b"PAR1":
            return f"read_parquet({quoted})"
        if b"\x00" in head and head[:2] != b"\x1f\x8b":
            raise UserError(f"{path} is neither Parquet nor CSV")
        names = self._header(quoted)
        header = "header = true" if names is None else f"header = false, names = {list(names)!r}"
        return f"read_csv({quoted}, all_varchar = true, {header})"

    def _header(self, quoted: str) -> tuple[str, ...] | None:
        probe = f"SELECT * FROM read_csv({quoted}, all_varchar = true, header = false) LIMIT 1"  # noqa: S608 - quoted
        try:
            row = self._session.execute(probe).fetchone()
        except duckdb.Error as error:
            raise UserError(f"cannot read {quoted}: {str(error).splitlines()[0]}") from None
        if row is None:
            raise UserError(f"{quoted} is empty: there is nothing to replay")
        numeric = str(row[0]).strip().isdigit()
        return _HEADERLESS.get(len(row)) if numeric else None

    def _refuse_bad_rows(self, path: Path, number: int) -> None:
        query = f"""
            SELECT trade_id, ts, price, size, side FROM file{number}
            WHERE trade_id IS NULL OR trade_id < 0 OR ts IS NULL
               OR ts NOT BETWEEN 1230768000000000 AND 4102444800000000
               OR price IS NULL OR size IS NULL OR side IS NULL
               OR NOT (price > 0 AND price < 1e12) OR NOT (size > 0 AND size < 1e13)
               OR isnan(price) OR isnan(size) OR price * size > 1e14
            LIMIT 1"""  # noqa: S608 - a name of our own
        try:
            row = self._session.execute(query).fetchone()
        except duckdb.Error as error:
            raise UserError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
        if row is not None:
            named = zip(("trade id", "time", "price", "size", "taker side"), row, strict=True)
            what = ", ".join(f"{name} {'unreadable' if value is None else value}" for name, value in named)
            raise UserError(f"{path} holds a row that is no trade ({what}): mend or remove it; nothing was stored")


def _match(path: Path, names: list[str]) -> dict[str, str]:
    known = {name.lower(): name for name in names}
    columns = {what: next((known[a] for a in aliases if a in known), None) for what, aliases in _NAMES.items()}
    missing = [what for what, name in columns.items() if name is None]
    if missing:
        wanted = "; ".join(f"{what}: one of {', '.join(_NAMES[what])}" for what in missing)
        raise UserError(f"{path} has the columns {', '.join(names[:20])}; what is missing: {wanted}")
    return {what: name for what, name in columns.items() if name is not None}


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _whole(name: str) -> str:
    return f"TRY_CAST({_quote(name)} AS BIGINT)"


def _number(name: str, kind: str) -> str:
    if kind in ("DOUBLE", "FLOAT"):
        return f"{_quote(name)}::DOUBLE"
    text = f"trim({_quote(name)}::VARCHAR)"
    # Leading zeros, and trailing ones behind the point, are no significant digits.
    bare = f"CASE WHEN contains({text}, '.') THEN rtrim({text}, '0') ELSE {text} END"
    digits = f"length(ltrim(replace({bare}, '.', ''), '0'))"
    fits = f"regexp_full_match({text}, '{_DECIMAL}') AND {digits} <= 15"
    return f"CASE WHEN {fits} THEN TRY_CAST({text} AS DOUBLE) END"


def _time(name: str, kind: str) -> str:
    if kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us({_quote(name)})"
    n = f"TRY_CAST({_quote(name)} AS BIGINT)"
    return (
        f"CASE WHEN {n} IS NULL THEN epoch_us(TRY_CAST({_quote(name)}::VARCHAR AS TIMESTAMPTZ)) "
        f"WHEN {n} < 100000000000 THEN {n} * 1000000 WHEN {n} < 100000000000000 THEN {n} * 1000 "
        f"WHEN {n} < 100000000000000000 THEN {n} ELSE {n} // 1000 END"
    )


def _taker_side(name: str) -> str:
    text = f"lower(trim({_quote(name)}::VARCHAR))"
    # A buyer that is the maker was sold to: the taker sold.
    buy, sell = (
        ("'false', '0'", "'true', '1'")
        if "maker" in name.lower() or name == "m"
        else (
            "'buy', 'b', 'bid', '1'",
            "'sell', 's', 'ask', '-1'",
        )
    )
    return f"CASE WHEN {text} IN ({buy}) THEN 1::TINYINT WHEN {text} IN ({sell}) THEN (-1)::TINYINT END"


def _refuse_inexact(batch: TradeBatch) -> None:
    for what, values in (("price", batch.price), ("size", batch.size)):
        try:
            to_integers(values)
        except IntegrityError as error:
            raise UserError(f"a {what} cannot be kept exactly: {error}; nothing was stored") from None
