"""Parquet files of the lake, written by us so that they are on the disk before the catalog names them.

DuckLake does not sync what it writes: a power cut could leave a committed snapshot over an empty file.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import TransientError
from core.timeframes import DAY, TIMEFRAMES
from storage.lake.tables import TABLES

_LENGTH = {"day": TIMEFRAMES["1d"], "month": TIMEFRAMES["1M"]}
_ROW_GROUP = 122_880
_DELTA = {"trade_id", "id", "ts", "received", "start", "trade_count"}
_PLAIN = {"volume", "quote_volume", "taker_buy_volume", "complete"}


def partitions(table: str, rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the folder's name and the rows of each partition, with the partition's column added."""
    name = TABLES[table].partition
    timeframe = _LENGTH[name]
    times = _micros(rows, TABLES[table].time)
    for day in np.unique(times // DAY).tolist() if name == "day" else _month_starts(times):
        start = day * DAY
        mask = (times >= start) & (times < timeframe.end(start))
        part = rows if mask.all() else rows.filter(pa.array(mask))
        date = datetime.fromtimestamp(start // 1_000_000, UTC).date()
        codes = np.zeros(part.num_rows, dtype=np.int8)
        yield f"{name}={date}", part.append_column(name, pa.DictionaryArray.from_arrays(codes, pa.array([date])))


def write(folder: Path, rows: pa.Table) -> Path:
    """Write a file of rows and return its path once file and folder are on the disk.

    Raise `TransientError` where the disk refuses; no file is left then.
    """
    path = folder / f"tidemill-{uuid4()}.parquet"
    names = set(rows.column_names)
    delta = dict.fromkeys(sorted(names & _DELTA), "DELTA_BINARY_PACKED")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, rows, delta, sorted(names - _DELTA - _PLAIN))
        _sync(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        raise TransientError(f"cannot write to the lake's folder {folder}: {error.strerror or error}") from None
    return path


def _write(path: Path, rows: pa.Table, delta: dict[str, str], dictionaries: list[str]) -> None:
    with path.open("wb") as file:
        pq.write_table(
            rows,
            file,
            compression="zstd",
            row_group_size=_ROW_GROUP,
            use_dictionary=dictionaries,  # type: ignore[arg-type] # a list of columns, too
            column_encoding=delta,
            store_schema=False,
        )
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    # A new folder is an entry of its parent.
    for place in (folder, folder.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _month_starts(times: NDArray[np.int64]) -> list[int]:
    months = np.unique(times.astype("datetime64[us]").astype("datetime64[M]"))
    return [int(day) for day in months.astype("datetime64[D]").astype(np.int64)]


def _micros(rows: pa.Table, column: str) -> NDArray[np.int64]:
    return np.asarray(rows.column(column).combine_chunks().view(pa.int64()))
