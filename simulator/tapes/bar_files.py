"""Files of bars: CSV and Parquet with named columns, and the zip files of Lean's data folder."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from core.errors import UserError
from core.timeframes import Timeframe
from simulator.tapes.bars import Bars, timeframe_of

_STARTS = ("start", "time", "timestamp", "open_time", "date")
_NUMBERS = ("open", "high", "low", "close", "volume")
_LARGEST = 1 << 30
_DAY = re.compile(r"(\d{8})_")


def read_bars(paths: Sequence[Path], timeframe: Timeframe | None = None) -> Bars:
    """Read the bars of one instrument from files, in any order; without a timeframe the times tell it.

    CSV (with a line of names) and Parquet have the columns ``start`` (or time, timestamp, open_time, date: UTC, as
    text, or as seconds, milliseconds or microseconds since the epoch), open, high, low, close, volume. A zip file
    of Lean's holds a CSV without names whose times are ``YYYYMMDD HH:MM``, or milliseconds of the day that the
    file's name begins with. Raises `UserError` where a file cannot be read as bars.
    """
    if not paths:
        raise UserError("name at least one file of bars")
    table = pl.concat([_read(path) for path in paths]).sort("start")
    start = table["start"].to_numpy().astype(np.int64)
    return Bars(timeframe or timeframe_of(start), start, *(table[name].to_numpy() for name in _NUMBERS))


def _read(path: Path) -> pl.DataFrame:
    try:
        if zipfile.is_zipfile(path):
            return _lean(path)
        if path.suffix == ".parquet":
            return _named(path, pl.read_parquet(path))
        return _named(path, pl.read_csv(path, infer_schema=False))
    except (pl.exceptions.PolarsError, zipfile.BadZipFile, OSError, UnicodeDecodeError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"cannot read {path} as bars: {reason}") from None


def _named(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    names = {name.strip().lower(): name for name in table.columns}
    start = next((names[name] for name in _STARTS if name in names), None)
    missing = [name for name in _NUMBERS if name not in names]
    if start is None or missing:
        raise UserError(f"{path} lacks the column {'start' if start is None else missing[0]!r} of bars")
    return _bars(path, _times(table[start]), table, [names[name] for name in _NUMBERS])


def _lean(path: Path) -> pl.DataFrame:
    with zipfile.ZipFile(path) as archive:
        inside = [one for one in archive.infolist() if one.filename.endswith(".csv")]
        if len(inside) != 1 or inside[0].file_size > _LARGEST:
            raise UserError(f"{path} is no zip file of Lean's: it holds {len(inside)} CSV files of bars, not one")
        with archive.open(inside[0]) as file:
            table = _headerless(file)
    if len(table.columns) != 6:
        raise UserError(f"{path} is no zip file of Lean's: its rows have {len(table.columns)} columns, not six")
    text = table.to_series(0)
    if text.str.contains(" ").all():
        start = text.str.to_datetime("%Y%m%d %H:%M", time_unit="us", strict=False).cast(pl.Int64)
    else:
        day = _DAY.match(inside[0].filename) or _DAY.match(path.name)
        if day is None:
            raise UserError(f"{path} does not say of which day it is: its name begins with YYYYMMDD_")
        midnight = np.datetime64(f"{day[1][:4]}-{day[1][4:6]}-{day[1][6:]}", "us").astype(np.int64)
        start = text.cast(pl.Int64, strict=False) * 1_000 + int(midnight)
    return _bars(path, start, table, table.columns[1:])


def _headerless(file: IO[bytes]) -> pl.DataFrame:
    return pl.read_csv(file.read(), has_header=False, infer_schema=False)


def _bars(path: Path, start: pl.Series, table: pl.DataFrame, numbers: Sequence[str]) -> pl.DataFrame:
    columns = {
        name: table[column].cast(pl.Float64, strict=False) for name, column in zip(_NUMBERS, numbers, strict=True)
    }
    bars = pl.DataFrame({"start": start, **columns})
    bad = bars.with_row_index("row").filter(pl.any_horizontal(pl.all().is_null()))
    if len(bad):
        raise UserError(f"{path} holds a row that is no bar (number {bad['row'][0] + 1}): mend or remove it")
    return bars


def _times(column: pl.Series) -> pl.Series:
    """Read times as µs since the epoch; what cannot be read is null."""
    if column.dtype.is_temporal():
        return column.cast(pl.Datetime("us")).cast(pl.Int64)
    numbers = column.cast(pl.Int64, strict=False)
    if numbers.null_count() == 0:
        return pl.Series(_micros(numbers.to_numpy()))
    return column.cast(pl.String).str.to_datetime(time_unit="us", time_zone="UTC", strict=False).cast(pl.Int64)


def _micros(times: NDArray[np.int64]) -> NDArray[np.int64]:
    # Seconds, milliseconds and microseconds of the years 2009 to 2099 do not overlap.
    return np.where(times < 10**11, times * 1_000_000, np.where(times < 10**14, times * 1_000, times))
