"""Rows of many instruments in one batch of columns: of each there are too few for a batch of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class ByInstrument:
    """Hold rows of the instruments ``names`` in columns of equal length.

    ``instrument`` int32, an index into ``names``; ``ts`` and ``received`` int64, µs since the epoch, UTC: the
    venue's time and ours; ``offset`` int64, the journal offset of the record that brought the row, or that showed
    that it counts.
    """

    names: tuple[str, ...]
    instrument: NDArray[np.int32]
    ts: NDArray[np.int64]
    received: NDArray[np.int64]
    offset: NDArray[np.int64]

    # The fields but ``names``, in their order: asking dataclasses for them each time costs more than the work.
    COLUMNS: ClassVar[tuple[str, ...]] = ("instrument", "ts", "received", "offset")

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, rows: NDArray[Any] | slice) -> Self:
        """Give the rows that a slice, a mask or indices name."""
        return type(self)(self.names, *(getattr(self, name)[rows] for name in self.COLUMNS))

    def at(self, offset: NDArray[np.int64]) -> Self:
        """Give the rows with other offsets."""
        return replace(self, offset=offset)

    @classmethod
    def concat(cls, batches: Sequence[Self]) -> Self:
        """Join batches in the order given."""
        if len(batches) == 1:
            return batches[0]
        numbers: dict[str, int] = {}
        which = [
            np.array([numbers.setdefault(name, len(numbers)) for name in batch.names], np.int32)[batch.instrument]
            for batch in batches
        ]
        columns = (np.concatenate([getattr(batch, name) for batch in batches]) for name in cls.COLUMNS[1:])
        return cls(tuple(numbers), np.concatenate(which), *columns)

    def last_of_each(self, groups: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the last row of each instrument in each group, in the order of the rows; groups ascend."""
        keys = groups * len(self.names) + self.instrument
        _, at = np.unique(keys[::-1], return_index=True)
        return np.sort(len(self) - 1 - at)

    def _head(self) -> "list[pa.Array[Any]]":
        """Give the columns instrument, ts and received for Arrow."""
        return [
            pa.DictionaryArray.from_arrays(self.instrument, pa.array(self.names, pa.string())).cast(pa.string()),
            pa.array(self.ts).view(pa.timestamp("us", "UTC")),
            pa.array(self.received).view(pa.timestamp("us", "UTC")),
        ]


def numbered(instruments: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Give the different names, in the order of their first rows, and the index of each row's name."""
    numbers: Mapping[str, int] = {name: number for number, name in enumerate(dict.fromkeys(instruments))}
    return tuple(numbers), np.array([numbers[name] for name in instruments], np.int32)
