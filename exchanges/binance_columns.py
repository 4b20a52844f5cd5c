"""Binance's fast path: what the scanner found, as columns."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from exchanges import bounds
from exchanges.binance_scan import DEPTH, scan
from exchanges.binance_shapes import SHAPES
from exchanges.columns import Columns, QuoteColumns

_LIMITS = np.array(
    [
        bounds.FIRST_ID,
        bounds.MAX_FILLS,
        bounds.EARLIEST,
        bounds.LATEST,
        bounds.PRICE_BELOW,
        bounds.SIZE_BELOW,
        bounds.VALUE_UP_TO,
        10**bounds.MAX_DIGITS,
        bounds.MAX_DECIMALS,
    ],
    np.int64,
)


def read_columns(
    payload: bytes, starts: NDArray[np.int64], sizes: NDArray[np.int64], knows: Callable[[str], bool]
) -> Columns:
    """Read the trades and quotes of frames in Binance's shapes; ``knows`` says whether a symbol is one.

    See `exchanges.venue.Venue.trades` for the other arguments. Raises `ValueError` where ``starts`` and
    ``sizes`` differ in length; a frame outside of ``payload`` is left in ``rest``.
    """
    if len(starts) != len(sizes):
        raise ValueError("starts and sizes must be of one length")
    state, symbol, symbol_at, symbol_length, found, (quoted, best) = scan(
        np.frombuffer(payload, np.uint8),
        np.ascontiguousarray(starts, np.int64),
        np.ascontiguousarray(sizes, np.int64),
        np.full(1 << (2 * len(starts) + 1).bit_length(), -1, np.int32),
        SHAPES,
        _LIMITS,
    )
    places = zip(symbol_at.tolist(), symbol_length.tolist(), strict=True)
    symbols = [payload[at : at + length].decode("ascii") for at, length in places]
    unknown = np.array([not knows(name) for name in symbols], np.bool_)
    if unknown.any():
        state[(symbol >= 0) & unknown[symbol]] = -1
        kept = state[found[0]] >= 0
        found = tuple(column[kept] for column in found)
        quoted, best = (columns[:, state[quoted[0]] >= 0] for columns in (quoted, best))
        symbol = (np.cumsum(~unknown, dtype=np.int32) - 1)[symbol]
        symbols = [name for name, missing in zip(symbols, unknown.tolist(), strict=True) if not missing]
    row, space, ids, ts, price, size, side, fills = found
    return Columns(
        row,
        symbol[row],
        symbols,
        space,
        ids,
        ts,
        price,
        size,
        side,
        fills,
        rest=np.flatnonzero(state < 0),
        quotes=QuoteColumns(quoted[0], symbol[quoted[0]], *quoted[1:], *best) if quoted.size else None,
        ignored=int(np.count_nonzero(state == DEPTH)),
    )
