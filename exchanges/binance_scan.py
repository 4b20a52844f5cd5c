"""Read trades and quotes from the bytes of many frames at once, without building an object.

Only what is certain is taken: the shapes of `exchanges.binance_shapes` within `exchanges.bounds`. All else is
left to `Venue.parse`. What is taken here must be what parse accepts, bit for bit.

Numba checks no array bounds, so the scanner proves them: a newline follows each frame (looked at first), every
step moves past a byte only after it has matched it, and no step matches a newline. So no position ever passes
the end of its frame. A position of -1 is a mismatch.
"""

from typing import Any, TypeAlias

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int64]

TRADE, AGGREGATE, QUOTE, DEPTH = range(4)
"""What a frame is."""

SENT, TIME, SYMBOL, ID, PRICE, SIZE, BID, BID_SIZE, ASK, ASK_SIZE = range(1, 11)
FIRST, LAST, MAKER, PASSED, LEVELS, MORE = range(11, 17)
"""Opcodes of the shapes. What is read of the first thirteen stands in ``got`` at the same index."""

_LENGTH, _HASH, _VALUE, _DECIMALS = range(17, 21)
_PLACES = 20  # so far behind a price or size in ``got`` stand its decimals

# Limits and shapes come as arguments: numba does not compile a cached kernel again when another file changes.
_FIRST_ID, _MAX_FILLS, _EARLIEST, _LATEST = range(4)
_PRICE_BELOW, _SIZE_BELOW, _VALUE_UP_TO, _MANTISSA_BELOW, _MAX_DECIMALS = range(4, 9)

_POWERS = np.array([float(10**k) for k in range(19)])
_PREFIX, _DATA = np.frombuffer(b'{"stream":"', np.uint8), np.frombuffer(b'","data":', np.uint8)
_TRUE, _FALSE = np.frombuffer(b"true", np.uint8), np.frombuffer(b"false", np.uint8)
_MARKET, _NOTIONAL, _STATE = (np.frombuffer(name, np.uint8) for name in (b',"M":', b',"nq":"', b',"st":'))


@njit(cache=True, nogil=True)
def scan(data: Bytes, starts: Ints, sizes: Ints, slots: NDArray[np.int32], shapes: Any, limits: Ints) -> Any:
    """Read frames; ``slots`` is an empty hash table (-1) of a power of two, larger than the number of frames.

    Gives per frame its kind (-1: not taken) and symbol (-1: none), per symbol its place and length in ``data``,
    the columns row, space, ids, ts, price, size, side, fills of the trades, and of the quotes row, ids, ts (0: not
    told), bid, bid size, ask, ask size.
    """
    n, known, m, quotes = len(starts), 0, 0, 0
    state, symbol = np.full(n, -1, np.int8), np.full(n, -1, np.int32)
    symbol_at, symbol_length = np.empty(n, np.int64), np.empty(n, np.int64)
    row, ids, ts = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    price, size = np.empty(n, np.float64), np.empty(n, np.float64)
    space, side, fills = np.empty(n, np.int8), np.empty(n, np.int8), np.empty(n, np.int32)
    quoted, best = np.empty((3, n), np.int64), np.empty((4, n), np.float64)
    got = np.zeros(32, np.int64)
    for i in range(n):
        start, length = starts[i], sizes[i]
        if start < 0 or length < 0 or length >= len(data) - start or data[start + length] != 10:
            continue
        got[TIME] = 0
        kind = _frame(data, start, start + length, shapes, limits, got)
        if kind < 0 or (kind <= AGGREGATE and not _within(kind, limits, got)):
            continue
        state[i] = kind
        if kind == DEPTH:
            continue
        slot = _slot(data, slots, symbol_at, symbol_length, got)
        if slots[slot] < 0:
            slots[slot], symbol_at[known], symbol_length[known] = known, got[SYMBOL], got[_LENGTH]
            known += 1
        symbol[i] = slots[slot]
        if kind <= AGGREGATE:
            row[m], space[m], ids[m], ts[m] = i, kind, got[ID], got[TIME]
            price[m], size[m] = _number(got, PRICE), _number(got, SIZE)
            side[m] = 1 - 2 * got[MAKER]
            fills[m] = 1 if kind == TRADE else got[LAST] - got[FIRST] + 1
            m += 1
        else:
            quoted[0, quotes], quoted[1, quotes], quoted[2, quotes] = i, got[ID], got[TIME]
            for k in range(4):
                best[k, quotes] = _number(got, BID + k)
            quotes += 1
    found = (row[:m], space[:m], ids[:m], ts[:m], price[:m], size[:m], side[:m], fills[:m])
    # Copies: quotes are kept for longer than their frames, and a view would keep room for all frames.
    told = quoted[:, :quotes].copy(), best[:, :quotes].copy()
    return state, symbol, symbol_at[:known], symbol_length[:known], found, told


@njit(cache=True, nogil=True)
def _number(got: Ints, code: int) -> float:
    # The nearest double: mantissa and power of ten are exact.
    return float(got[code] / _POWERS[got[code + _PLACES]])


@njit(cache=True, nogil=True)
def _frame(data: Bytes, start: int, end: int, shapes: Any, limits: Ints, got: Ints) -> int:
    # The kind of the shape that matches to the frame's last byte and agrees with its stream; else -1.
    codes, ends, kinds, streams = shapes
    stream, event, at = _literal(data, start, _PREFIX), 0, start
    combined = stream >= 0
    if combined:
        at = stream
        while data[at] == 95 or 48 <= data[at] <= 57 or 97 <= data[at] <= 122:
            at += 1
        event = at
        while data[at] == 64 or 48 <= data[at] <= 57 or 65 <= data[at] <= 90 or 97 <= data[at] <= 122:
            at += 1
        at = _literal(data, at, _DATA)
        if at < 0:
            return -1
    for shape in range(len(kinds)):
        after = _match(data, at, codes, ends[shape], ends[shape + 1], limits, got)
        if after < 0 or after + combined != end or (combined and data[after] != 125):
            continue
        agreed = not combined or _agrees(data, stream, event, streams[kinds[shape]], got)
        return int(kinds[shape]) if agreed else -1
    return -1


@njit(cache=True, nogil=True)
def _agrees(data: Bytes, stream: int, event: int, name: Bytes, got: Ints) -> bool:
    # The stream is the symbol in lower case, then "@trade" or whatever the name is. Depth may go without a speed.
    if event - stream != got[_LENGTH]:
        return False
    for k in range(got[_LENGTH]):
        byte = data[got[SYMBOL] + k]
        if data[stream + k] != (byte + 32 if 65 <= byte <= 90 else byte):
            return False
    k = 0
    while name[k] != 0 and data[event + k] == name[k]:
        k += 1
    return bool(data[event + k] == 34 and (name[k] == 0 or (name[k] == 64 and k > 0)))


@njit(cache=True, nogil=True)
def _match(data: Bytes, at: int, codes: Bytes, low: int, high: int, limits: Ints, got: Ints) -> int:
    # Where the shape ends, its fields read into ``got``; -1 where it does not match.
    for c in range(low, high):
        code = codes[c]
        if code >= 32:
            at = at + 1 if data[at] == code else -1
        elif PRICE <= code <= ASK_SIZE:
            at = _decimal(data, at, limits, got)
            # Prices and sizes take turns.
            below = limits[_PRICE_BELOW] if (code - PRICE) % 2 == 0 else limits[_SIZE_BELOW]
            if at >= 0 and got[_VALUE] / _POWERS[got[_DECIMALS]] >= below:
                return -1
            got[code], got[code + _PLACES] = got[_VALUE], got[_DECIMALS]
        elif code == SYMBOL:
            at = _symbol(data, at, got)
        elif code == MAKER:
            got[MAKER] = _literal(data, at, _TRUE) >= 0
            at = max(_literal(data, at, _TRUE), _literal(data, at, _FALSE))
        elif code == LEVELS:
            at = _levels(data, at)
        elif code == MORE:
            at = _more(data, at, got)
        else:
            at = _integer(data, at, got)
            if code <= TIME:
                got[code] = got[_VALUE] if got[_VALUE] >= limits[_EARLIEST] else got[_VALUE] * 1000
                if not limits[_EARLIEST] <= got[code] < limits[_LATEST]:
                    return -1
            elif code != PASSED:
                if got[_VALUE] < limits[_FIRST_ID]:
                    return -1
                got[code] = got[_VALUE]
        if at < 0:
            return -1
    return at


@njit(cache=True, nogil=True)
def _literal(data: Bytes, at: int, text: Bytes) -> int:
    for byte in text:
        if data[at] != byte:
            return -1
        at += 1
    return at


@njit(cache=True, nogil=True)
def _integer(data: Bytes, at: int, got: Ints) -> int:
    # At most 18 digits, as JSON writes them. Beyond, the value wraps and is thrown away.
    first, value = at, 0
    while 48 <= data[at] <= 57:
        value = value * 10 + int(data[at]) - 48
        at += 1
    got[_VALUE] = value
    return at if 1 <= at - first <= 18 and (data[first] != 48 or at - first == 1) else -1


@njit(cache=True, nogil=True)
def _decimal(data: Bytes, at: int, limits: Ints, got: Ints) -> int:
    # Mantissa and decimals, without the zeros at the end; at most 18 digits are looked at.
    first, value, fraction = at, 0, 0
    while 48 <= data[at] <= 57:
        value = value * 10 + int(data[at]) - 48
        at += 1
    whole, kept = at - first, value
    if data[at] == 46:
        at += 1
        point = at
        while 48 <= data[at] <= 57:
            digit = int(data[at]) - 48
            value = value * 10 + digit
            at += 1
            kept = value if digit else kept
            fraction = at - point if digit else fraction
        if at == point or at - point + whole > 18:
            return -1
    got[_VALUE], got[_DECIMALS] = kept, fraction
    return at if 1 <= whole <= 18 and kept < limits[_MANTISSA_BELOW] and fraction <= limits[_MAX_DECIMALS] else -1


@njit(cache=True, nogil=True)
def _symbol(data: Bytes, at: int, got: Ints) -> int:
    # Where it stands, its length, its FNV-1a hash.
    first, mixed = at, 2166136261
    while 65 <= data[at] <= 90 or 48 <= data[at] <= 57 or data[at] == 95:
        mixed = ((mixed ^ int(data[at])) * 16777619) & 0xFFFFFFFF
        at += 1
    got[SYMBOL], got[_LENGTH], got[_HASH] = first, at - first, mixed
    return at if 3 <= at - first <= 30 else -1


@njit(cache=True, nogil=True)
def _digits(data: Bytes, at: int) -> int:
    while 48 <= data[at] <= 57 or data[at] == 46:
        at += 1
    return at


@njit(cache=True, nogil=True)
def _levels(data: Bytes, at: int) -> int:
    # [["price","size"],...], passed over.
    if data[at] != 91:
        return -1
    at += 1
    if data[at] == 93:
        return at + 1
    while data[at] == 91:
        at += 1
        for last in (44, 93):
            if data[at] != 34:
                return -1
            at = _digits(data, at + 1)
            if data[at] != 34 or data[at + 1] != last:
                return -1
            at += 2
        if data[at] == 93:
            return at + 1
        if data[at] != 44:
            return -1
        at += 1
    return -1


@njit(cache=True, nogil=True)
def _more(data: Bytes, at: int, got: Ints) -> int:
    # The members M, nq and st, each there or not, in this order.
    after = _literal(data, at, _MARKET)
    if after >= 0:
        at = max(_literal(data, after, _TRUE), _literal(data, after, _FALSE))
        if at < 0:
            return -1
    after = _literal(data, at, _NOTIONAL)
    if after >= 0:
        at = _digits(data, after)
        if data[at] != 34:
            return -1
        at += 1
    after = _literal(data, at, _STATE)
    return _integer(data, after, got) if after >= 0 else at


@njit(cache=True, nogil=True)
def _within(kind: int, limits: Ints, got: Ints) -> bool:
    # Parse multiplies exactly; a thousandth below its bound, rounding cannot matter.
    decimals = got[PRICE + _PLACES] + got[SIZE + _PLACES]
    value = _number(got, PRICE) * _number(got, SIZE)
    bounded = 0 < value <= 0.999 * limits[_VALUE_UP_TO] and decimals <= limits[_MAX_DECIMALS]
    return bool(bounded and (kind == TRADE or 0 <= got[LAST] - got[FIRST] < limits[_MAX_FILLS]))


@njit(cache=True, nogil=True)
def _slot(data: Bytes, slots: NDArray[np.int32], symbol_at: Ints, symbol_length: Ints, got: Ints) -> int:
    # The slot of the symbol just read, or the empty one where it belongs.
    mask, at, length = len(slots) - 1, got[SYMBOL], got[_LENGTH]
    slot = got[_HASH] & mask
    while slots[slot] >= 0:
        other, same = slots[slot], 0
        if symbol_length[other] == length:
            while same < length and data[symbol_at[other] + same] == data[at + same]:
                same += 1
        if same == length:
            break
        slot = (slot + 1) & mask
    return int(slot)
