"""The order of rows inside a file: by instrument and time, so that a scan can skip what it does not ask for."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.lake.tables import TABLES


def in_order(table: str, rows: pa.Table) -> pa.Table:
    """Sort rows as `storage.lake.tables` says; rows that are equal in all of that keep their order.

    The names come back dictionary-encoded.
    """
    return _sorted(rows, TABLES[table].names, TABLES[table].numbers)


def _sorted(rows: pa.Table, names: tuple[str, ...], numbers: tuple[str, ...]) -> pa.Table:
    keys = [_numbers(rows, name) for name in numbers]
    ranks = []
    for name in names:
        codes = rows.column(name).combine_chunks().dictionary_encode()
        rows = rows.set_column(rows.schema.get_field_index(name), name, codes)
        ranks.append(_ranks(codes))
    # lexsort takes the last key as the first to sort by.
    order = np.lexsort(np.array([*reversed(keys), *reversed(ranks)]))
    in_order = bool((order[1:] > order[:-1]).all())
    return rows if in_order else rows.take(order)


def _ranks(codes: Any) -> NDArray[np.int32]:
    names: list[str] = codes.dictionary.to_pylist()
    rank = np.empty(len(names), dtype=np.int32)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names), dtype=np.int32)
    return np.asarray(rank[np.asarray(codes.indices)])


def _numbers(rows: pa.Table, name: str) -> NDArray[np.int64]:
    column = rows.column(name).combine_chunks()
    return np.asarray(column.view(pa.int64()) if pa.types.is_timestamp(column.type) else column)
