"""The compiled inner loop of the candle fold: exact sums in 128 bits, one pass over the trades.

A price or size is the nearest double of a decimal of at most 15 significant digits, so ``rint(x * 10**k)``
gives the decimal's integer at scale ``k`` exactly, and ``integer / 10**k == x`` proves it: both the power and
the integer are exact doubles, and IEEE 754 division rounds correctly. The products price × size are summed as
unsigned 128-bit integers of two words.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

SCALE: Final = 18
_POWER: Final = np.array([10.0**k for k in range(SCALE + 1)])
_WHOLE: Final = np.array([10**k for k in range(SCALE + 1)], dtype=np.uint64)
_WIDEST: Final = 1e15
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)

# Columns of a slot's integers.
START, COUNT, OPEN_TS, OPEN_PLACE, CLOSE_TS, CLOSE_PLACE = range(6)
# Columns of prices.
OPEN, HIGH, LOW, CLOSE = range(4)
# Columns of sums, two words each: low, high.
VOLUME, QUOTE, BUY = 0, 2, 4
# Columns of the cursor.
NEXT_START, WATERMARK, ROW, CLOSED, LATE = range(5)

NOTHING: Final = np.iinfo(np.int64).min
"""The cursor's ``NEXT_START`` before the first trade, and a slot's start while it is empty."""


@njit(cache=True, nogil=True)
def _scale(x: float) -> int:
    for k in range(SCALE + 1):
        whole = np.rint(x * _POWER[k])
        if whole > _WIDEST:
            break
        if whole >= 0 and whole / _POWER[k] == x:
            return k
    return -1


@njit(cache=True, nogil=True)
def to_integers(
    values: NDArray[np.float64], integers: NDArray[np.uint64], scales: NDArray[np.uint8], smallest: bool
) -> int:
    """Write each value as an integer of at most 10**15 and its scale: value = integer / 10**scale, exactly.

    Gives how many rows were written: fewer than there are when the next one is no decimal of at most 15 significant
    digits and 18 decimals. ``smallest`` asks for the smallest scale of each value; else one that suits many.
    """
    hint = 0
    for i in range(len(values)):
        x = values[i]
        whole = np.rint(x * _POWER[hint])
        k = hint
        if smallest or not (0 <= whole <= _WIDEST and whole / _POWER[hint] == x):
            k = _scale(x)
            if k < 0:
                return i
            whole = np.rint(x * _POWER[k])
            hint = max(hint, k)
        integers[i] = np.uint64(whole)
        scales[i] = k
    return len(values)


@njit(cache=True, nogil=True, inline="always")
def _add(low: Any, high: Any, more_low: Any, more_high: Any) -> Any:
    total = low + more_low
    return total, high + more_high + (np.uint64(1) if total < low else np.uint64(0))


@njit(cache=True, nogil=True, inline="always")
def _multiply(a: Any, b: Any) -> Any:
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low = a0 * b0
    middle = a1 * b0 + (low >> _HALF)
    other = a0 * b1 + (middle & _LOW)
    return (other << _HALF) | (low & _LOW), a1 * b1 + (middle >> _HALF) + (other >> _HALF)


@njit(cache=True, nogil=True, inline="always")
def _add_widened(sums: Any, at: int, column: int, low: Any, high: Any, factor: Any) -> None:
    low, carry = _multiply(low, factor)
    sums[at, column], sums[at, column + 1] = _add(sums[at, column], sums[at, column + 1], low, high * factor + carry)


@njit(cache=True, nogil=True)
def _sum_up(
    row: int,
    end: int,
    at: int,
    sums: NDArray[np.uint64],
    ticks: NDArray[np.uint64],
    tick_scale: NDArray[np.uint8],
    lots: NDArray[np.uint64],
    lot_scale: NDArray[np.uint8],
    side: NDArray[np.int8],
) -> None:
    """Add the rows up to ``end`` to a slot's sums; what has the same scales is widened to `SCALE` at one stroke."""
    none = np.uint64(0)
    while row < end:
        tick_places, lot_places = tick_scale[row], lot_scale[row]
        volume, volume_high, quote, quote_high, buy, buy_high = none, none, none, none, none, none
        while row < end and tick_scale[row] == tick_places and lot_scale[row] == lot_places:
            volume, volume_high = _add(volume, volume_high, lots[row], none)
            if side[row] > 0:
                buy, buy_high = _add(buy, buy_high, lots[row], none)
            low, high = _multiply(ticks[row], lots[row])
            quote, quote_high = _add(quote, quote_high, low, high)
            row += 1
        _add_widened(sums, at, VOLUME, volume, volume_high, _WHOLE[SCALE - lot_places])
        _add_widened(sums, at, BUY, buy, buy_high, _WHOLE[SCALE - lot_places])
        _add_widened(sums, at, QUOTE, quote, quote_high, _WHOLE[SCALE - tick_places - lot_places])


@njit(cache=True, nogil=True)
def _take(
    row: int,
    at: int,
    start: int,
    end: int,
    slots: NDArray[np.int64],
    prices: NDArray[np.float64],
    ts: NDArray[np.int64],
    places: NDArray[np.int64],
    price: NDArray[np.float64],
    fills: NDArray[np.int32],
) -> Any:
    """Take rows from ``row`` on as long as their times lie in [start, end); give the next row and the newest time.

    All but the sums: see `_sum_up`.
    """
    n = len(ts)
    open_ts, open_place, close_ts, close_place = (
        slots[at, OPEN_TS],
        slots[at, OPEN_PLACE],
        slots[at, CLOSE_TS],
        slots[at, CLOSE_PLACE],
    )
    count, newest = slots[at, COUNT], ts[row]
    first, high, low, last = prices[at, OPEN], prices[at, HIGH], prices[at, LOW], prices[at, CLOSE]
    while row < n and start <= ts[row] < end:
        time, place, paid = ts[row], places[row], price[row]
        newest = max(newest, time)
        high = max(high, paid)
        low = min(low, paid)
        if time < open_ts or (time == open_ts and place < open_place):
            open_ts, open_place, first = time, place, paid
        if time > close_ts or (time == close_ts and place > close_place):
            close_ts, close_place, last = time, place, paid
        count += fills[row]
        row += 1
    slots[at, COUNT] = count
    slots[at, OPEN_TS], slots[at, OPEN_PLACE] = open_ts, open_place
    slots[at, CLOSE_TS], slots[at, CLOSE_PLACE] = close_ts, close_place
    prices[at, OPEN], prices[at, HIGH], prices[at, LOW], prices[at, CLOSE] = first, high, low, last
    return row, newest


@njit(cache=True, nogil=True)
def fold(
    cursor: NDArray[np.int64],
    slots: NDArray[np.int64],
    prices: NDArray[np.float64],
    sums: NDArray[np.uint64],
    last_close: NDArray[np.float64],
    frame: int,
    lateness: int,
    longest_fill: int,
    ts: NDArray[np.int64],
    places: NDArray[np.int64],
    price: NDArray[np.float64],
    ticks: NDArray[np.uint64],
    tick_scale: NDArray[np.uint8],
    lots: NDArray[np.uint64],
    lot_scale: NDArray[np.uint8],
    side: NDArray[np.int8],
    fills: NDArray[np.int32],
    until: int,
    closed: NDArray[np.int64],
    closed_prices: NDArray[np.float64],
    closed_sums: NDArray[np.uint64],
    late: NDArray[np.int64],
) -> bool:
    """Fold trades into the open candles and write the closed ones; give False when an output is full.

    ``cursor`` says where to go on: it is called again with the same arguments after the outputs were emptied.
    All rows done, the watermark is advanced to ``until`` (the venue time of a tick; `NOTHING` for none), minus
    the lateness. ``slots``, ``prices``, ``sums`` are a ring of open candles indexed by start // frame.
    ``closed`` gets (start, trade count, row that closed it; the number of rows for the tick). Prices are
    ``ticks / 10**tick_scale``, sizes ``lots / 10**lot_scale``; sums are at scale `SCALE`.
    """
    ring = len(slots)
    n = len(ts)
    while True:
        row = cursor[ROW]
        if row > n:
            return True
        reached = ts[row] if row < n else until
        if reached != NOTHING and reached - lateness > cursor[WATERMARK]:
            cursor[WATERMARK] = reached - lateness
        if row < n and cursor[NEXT_START] == NOTHING:
            # Where the first interval begins that may still get trades, so that their order does not matter.
            cursor[NEXT_START] = (ts[row] - lateness) // frame * frame
        if cursor[NEXT_START] != NOTHING:
            while cursor[NEXT_START] + frame <= cursor[WATERMARK]:
                start = cursor[NEXT_START]
                at = start // frame % ring
                if slots[at, START] != start:
                    # The empty intervals up to the next open candle, or up to the watermark.
                    to = cursor[WATERMARK] // frame * frame
                    for other in range(ring):
                        if slots[other, START] != NOTHING and slots[other, START] < to:
                            to = slots[other, START]
                    if np.isnan(last_close[0]) or to - start > longest_fill:
                        cursor[NEXT_START] = to
                        continue
                if cursor[CLOSED] == len(closed):
                    return False
                out = cursor[CLOSED]
                closed[out, 0], closed[out, 2] = start, row
                if slots[at, START] == start:
                    closed[out, 1] = slots[at, COUNT]
                    closed_prices[out, :] = prices[at, :]
                    closed_sums[out, :] = sums[at, :]
                    last_close[0] = prices[at, CLOSE]
                    slots[at, START] = NOTHING
                else:
                    closed[out, 1] = 0
                    closed_prices[out, :] = last_close[0]
                    closed_sums[out, :] = np.uint64(0)
                cursor[CLOSED] += 1
                cursor[NEXT_START] = start + frame
        if row == n:
            cursor[ROW] = n + 1
            return True
        start = ts[row] // frame * frame
        if start < cursor[NEXT_START]:
            if cursor[LATE] == len(late):
                return False
            late[cursor[LATE]] = row
            cursor[LATE] += 1
            cursor[ROW] = row + 1
            continue
        at = start // frame % ring
        if slots[at, START] == NOTHING:
            slots[at, START], slots[at, COUNT] = start, 0
            slots[at, OPEN_TS], slots[at, OPEN_PLACE] = ts[row], places[row]
            slots[at, CLOSE_TS], slots[at, CLOSE_PLACE] = ts[row], places[row]
            prices[at, :] = price[row]
            sums[at, :] = np.uint64(0)
        # Most of what follows lies in the same interval: all of it, up to the trade that closes the oldest one.
        end = min(start + frame, cursor[NEXT_START] + frame + lateness)
        after, newest = _take(row, at, start, end, slots, prices, ts, places, price, fills)
        _sum_up(row, after, at, sums, ticks, tick_scale, lots, lot_scale, side)
        cursor[WATERMARK] = max(cursor[WATERMARK], newest - lateness)
        cursor[ROW] = after
