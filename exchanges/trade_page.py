"""A page of trades that a venue gave by REST, as columns."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np

from core.errors import MalformedFrame
from core.trades import TradeBatch
from exchanges import bounds
from exchanges.messages import IdSpace

Row: TypeAlias = tuple[int, int, str, str, Literal["buy", "sell"]]
"""Id, time (ms or µs since the epoch, UTC), price, size, the taker's side."""

_SIDES = {"buy": 1, "sell": -1}


def trade_page(
    instrument: str, space: IdSpace, rows: Sequence[Row], received_at: int, fills: Sequence[int] | None = None
) -> TradeBatch | None:
    """Give the rows of a page, None for an empty one; ``fills`` are 1 each unless told.

    Raise `MalformedFrame` where a value is out of bounds, and where the ids do not ascend. In the id space
    ``execution`` ids prove no order: there the times must not descend, and no id may stand twice.
    """
    if not rows:
        return None
    # Less than 0: made of a text, by `exchanges.text_ids`.
    text = space == "execution"
    ids = [row[0] if text and row[0] < 0 else bounds.identifier(row[0], "trade id") for row in rows]
    times = [bounds.micros(row[1], "trade time") for row in rows]
    for _, _, price, size, _ in rows:
        bounds.trade_value(price, size)
    if space != "execution" and any(later <= earlier for earlier, later in pairwise(ids)):
        raise MalformedFrame("a page of trades is not ascending by id")
    if space == "execution" and (len(set(ids)) != len(ids) or times != sorted(times)):
        raise MalformedFrame("a page of trades names one twice, or is not ascending by time")
    n = len(rows)
    return TradeBatch(
        instrument,
        space,
        np.array(ids, np.int64),
        np.array(times, np.int64),
        np.full(n, received_at, np.int64),
        np.array([float(row[2]) for row in rows], np.float64),
        np.array([float(row[3]) for row in rows], np.float64),
        np.array([_SIDES[row[4]] for row in rows], np.int8),
        np.ones(n, np.int32) if fills is None else np.array(fills, np.int32),
        np.full(n, -1, np.int64),
    )
