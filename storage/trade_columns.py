"""Columns of trades in files: the names that venues and tools give them, and SQL that reads their values.

What cannot be read exactly becomes NULL, which `storage.trade_files` refuses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError

# Names of one letter are those of Binance's JSON, where t and T are two things; of longer ones case says nothing.
_NAMES = {
    "trade_id": ("trade_id", "tradeid", "id", "agg_trade_id", "aggtradeid", "aggregate_trade_id", "a", "t"),
    "ts": ("timestamp", "ts", "time", "transact_time", "trade_time", "T"),
    "price": ("price", "p"),
    "size": ("size", "quantity", "qty", "q", "amount"),
    "side": ("side", "taker_side", "is_buyer_maker", "isbuyermaker", "m"),
}
_OPTIONAL = {
    "first": ("first_id", "first_trade_id", "firsttradeid", "f"),
    "last": ("last_id", "last_trade_id", "lasttradeid", "l"),
    "fills": ("fills",),
    "symbol": ("instrument", "symbol", "pair", "s"),
}
_AGGREGATE = {"agg_trade_id", "aggtradeid", "aggregate_trade_id", "a"}
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"}
_REAL = {"DOUBLE", "FLOAT"}
_DECIMAL = "[0-9]+([.][0-9]+)?([eE][+-]?[0-9]{1,2})?"
_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Column:
    """Name a column: as the file has it, as DuckDB has it (``key``), and DuckDB's type of it."""

    name: str
    key: str
    kind: str

    @property
    def quoted(self) -> str:
        """Give the column in SQL."""
        return '"' + self.key.replace('"', '""') + '"'

    @property
    def text(self) -> str:
        """Give its value as text in SQL."""
        return f"trim({self.quoted}::VARCHAR)"


class TradeColumns:
    """Find the columns of trades among those of a file; raise `UserError` where one is missing or there twice."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        found = {what: _find(path, columns, names) for what, names in {**_NAMES, **_OPTIONAL}.items()}
        missing = [what for what in _NAMES if found[what] is None]
        if missing:
            wanted = "; ".join(f"{what}: one of {', '.join(_NAMES[what])}" for what in missing)
            has = ", ".join(column.name[:40] for column in columns[:20])
            raise UserError(f"{path} has the columns {has!r}; what is missing: {wanted}")
        self._found = {what: column for what, column in found.items() if column is not None}
        self.symbol = self._found.get("symbol")
        self.id_space = "aggregate" if _key(self._found["trade_id"].name) in _AGGREGATE else "trade"

    def select(self) -> str:
        """Give the expressions of trade_id, ts (µs), price, size, side (+1 the taker bought, -1 sold) and fills."""
        found = self._found
        parts = {
            "trade_id": _whole(found["trade_id"]),
            "ts": _time(found["ts"]),
            "price": _number(found["price"]),
            "size": _number(found["size"]),
            "side": _taker_side(found["side"]),
            "fills": self._fills(),
        }
        return ", ".join(f"{expression} AS {name}" for name, expression in parts.items())

    def _fills(self) -> str:
        if "fills" in self._found:
            return f"TRY_CAST({_whole(self._found['fills'])} AS INTEGER)"
        if self.id_space == "aggregate" and {"first", "last"} <= self._found.keys():
            return f"TRY_CAST({_whole(self._found['last'])} - {_whole(self._found['first'])} + 1 AS INTEGER)"
        return "1::INTEGER"


def _find(path: Path, columns: Sequence[Column], names: Sequence[str]) -> Column | None:
    for name in names:
        same = [column for column in columns if _key(column.name) == name]
        if len(same) > 1:
            raise UserError(f"{path} has the column {name!r} twice: remove one of the two")
        if same:
            return same[0]
    return None


def _key(name: str) -> str:
    name = name.strip()
    return name if len(name) == 1 else name.lower()


def _whole(column: Column) -> str:
    if column.kind in _WHOLE:
        return f"TRY_CAST({column.quoted} AS BIGINT)"
    if column.kind in _REAL:
        exact = f"{column.quoted} = floor({column.quoted}) AND abs({column.quoted}) < 9007199254740992"
        return f"CASE WHEN {exact} THEN {column.quoted}::BIGINT END"
    # A cast alone would round 1.5.
    return f"CASE WHEN regexp_full_match({column.text}, '[0-9]{{1,19}}') THEN TRY_CAST({column.text} AS BIGINT) END"


def _number(column: Column) -> str:
    if column.kind in _REAL:
        return f"{column.quoted}::DOUBLE"
    text = column.text
    mantissa = f"regexp_replace({text}, '[eE].*', '')"
    # Leading zeros, and trailing ones behind the point, are no significant digits.
    bare = f"CASE WHEN contains({mantissa}, '.') THEN rtrim({mantissa}, '0') ELSE {mantissa} END"
    digits = f"length(ltrim(replace({bare}, '.', ''), '0'))"
    fits = f"regexp_full_match({text}, '{_DECIMAL}') AND {digits} <= {_DIGITS}"
    return f"CASE WHEN {fits} THEN TRY_CAST({text} AS DOUBLE) END"


def _time(column: Column) -> str:
    if column.kind.startswith(("TIMESTAMP", "DATE")):
        return f"epoch_us({column.quoted})"
    if column.kind in _WHOLE:
        return _micros(f"TRY_CAST({column.quoted} AS BIGINT)", "0")
    if column.kind in _REAL:
        x = column.quoted
        scaled = f"CASE WHEN {x} < 1e11 THEN {x} * 1e6 WHEN {x} < 1e14 THEN {x} * 1e3 WHEN {x} < 1e17 THEN {x} ELSE "
        return f"TRY_CAST(round({scaled} {x} / 1e3 END) AS BIGINT)"
    plain = f"regexp_full_match({column.text}, '[0-9]{{1,19}}([.][0-9]{{1,9}})?')"
    # Not as a DECIMAL: casting text to one takes DuckDB sixty times as long.
    whole = f"TRY_CAST(split_part({column.text}, '.', 1) AS BIGINT)"
    billionths = f"TRY_CAST(rpad(split_part({column.text}, '.', 2), 9, '0') AS BIGINT)"
    written = f"epoch_us(TRY_CAST({column.text} AS TIMESTAMPTZ))"
    return f"CASE WHEN {plain} THEN {_micros(whole, billionths)} ELSE {written} END"


def _micros(n: str, billionths: str) -> str:
    # Seconds, milliseconds, microseconds and nanoseconds of the years 2009 to 2099 do not overlap.
    return (
        f"CASE WHEN {n} < 100000000000 THEN {n} * 1000000 + ({billionths} + 500) // 1000 "
        f"WHEN {n} < 100000000000000 THEN {n} * 1000 + ({billionths} + 500000) // 1000000 "
        f"WHEN {n} < 100000000000000000 THEN {n} ELSE {n} // 1000 END"
    )


def _taker_side(column: Column) -> str:
    text = f"lower({column.text})"
    # A buyer that is the maker was sold to: the taker sold.
    buy, sell = (
        ("'false', 'f', '0'", "'true', 't', '1'")
        if _key(column.name) == "m" or "maker" in column.name.lower()
        else ("'buy', 'b', 'bid', '1', '+1'", "'sell', 's', 'ask', '-1'")
    )
    return f"CASE WHEN {text} IN ({buy}) THEN 1::TINYINT WHEN {text} IN ({sell}) THEN (-1)::TINYINT END"
