"""What a value from outside must satisfy, at any venue.

The bounds make later arithmetic exact: 15 significant digits survive a float64, and price × size fits
``DECIMAL(38, 18)`` with room for sums.
"""

import re

from core.errors import MalformedFrame

MAX_DIGITS = 15
MAX_DECIMALS = 18
"""Decimals of price and size together, that is, of their product."""
MAX_TEXT = 40
MAX_ID = 2**63 - 1
MAX_FILLS = 2**31 - 1
FIRST_ID = 1
EARLIEST = 1_230_768_000_000_000
"""2009-01-01 in µs, UTC: no crypto trade is older."""
LATEST = 4_102_444_800_000_000
"""2100-01-01 in µs, UTC."""
PRICE_BELOW = 10**12
SIZE_BELOW = 10**13
VALUE_UP_TO = 10**14
TOTAL_BELOW = 10**20

_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


def micros(value: int, what: str = "time") -> int:
    """Give a time in ms or µs as µs, told apart by magnitude; raise `MalformedFrame` outside 2009 to 2100."""
    if EARLIEST <= value * 1000 < LATEST:
        return value * 1000
    if EARLIEST <= value < LATEST:
        return value
    raise MalformedFrame(f"{what} {_short(value)} is neither ms nor µs of the years 2009 to 2099")


def identifier(value: int, what: str = "id") -> int:
    """Give a venue's id; raise `MalformedFrame` where it is not a positive int64."""
    if not FIRST_ID <= value <= MAX_ID:
        raise MalformedFrame(f"{what} {_short(value)} is not between {FIRST_ID} and 2^63 - 1")
    return value


def fill_count(first: int, last: int) -> int:
    """Give how many trades ``first`` to ``last`` are; raise `MalformedFrame` where it is none or beyond int32."""
    count = identifier(last, "last trade id") - identifier(first, "first trade id") + 1
    if not 1 <= count <= MAX_FILLS:
        raise MalformedFrame(f"trade ids {first} to {last} are not a range")
    return count


def price(text: str, what: str = "price", zero: bool = False) -> tuple[int, int]:
    """Read a price as (mantissa, decimals); raise `MalformedFrame` where it is out of bounds.

    Example:
        >>> price("61837.63000000")
        (6183763, 2)
    """
    return _exact(text, what, PRICE_BELOW, zero)


def size(text: str, what: str = "size", zero: bool = False) -> tuple[int, int]:
    """Read a size as (mantissa, decimals); raise `MalformedFrame` where it is out of bounds."""
    return _exact(text, what, SIZE_BELOW, zero)


def total(text: str, what: str = "volume") -> tuple[int, int]:
    """Read a sum of sizes or values, 0 included; raise `MalformedFrame` where ``DECIMAL(38, 18)`` cannot hold it."""
    mantissa, decimals = _decimal(text, what)
    if decimals > MAX_DECIMALS or mantissa >= TOTAL_BELOW * 10**decimals:
        raise MalformedFrame(f"{what} {text!r} does not fit DECIMAL(38, 18)")
    return mantissa, decimals


def rate(text: str, what: str = "funding rate") -> None:
    """Check a share that may be negative; raise `MalformedFrame` where it is no plain decimal between -10 and 10."""
    mantissa, decimals = _decimal(text.removeprefix("-"), what)
    if mantissa >= 10 * 10**decimals:
        raise MalformedFrame(f"{what} {text!r} is not between -10 and 10")


def trade_value(price_text: str, size_text: str) -> None:
    """Check price, size and their product; raise `MalformedFrame` saying which is out of bounds."""
    p, p_decimals = price(price_text)
    s, s_decimals = size(size_text)
    decimals = p_decimals + s_decimals
    if decimals > MAX_DECIMALS:
        raise MalformedFrame(f"price {price_text!r} and size {size_text!r} have more than {MAX_DECIMALS} decimals")
    if p * s > VALUE_UP_TO * 10**decimals:
        raise MalformedFrame(f"price {price_text!r} times size {size_text!r} is more than 10^14")


def _exact(text: str, what: str, below: int, zero: bool) -> tuple[int, int]:
    mantissa, decimals = _decimal(text, what)
    if mantissa >= 10**MAX_DIGITS:
        raise MalformedFrame(f"{what} {text!r} has more than {MAX_DIGITS} significant digits")
    if decimals > MAX_DECIMALS:
        raise MalformedFrame(f"{what} {text!r} has more than {MAX_DECIMALS} decimals")
    if mantissa >= below * 10**decimals:
        raise MalformedFrame(f"{what} {text!r} is not below {below:.0e}")
    if mantissa == 0 and not zero:
        raise MalformedFrame(f"{what} {text!r} is not above 0")
    return mantissa, decimals


def _decimal(text: str, what: str) -> tuple[int, int]:
    match = _DECIMAL.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise MalformedFrame(f"{what} {text[:MAX_TEXT]!r} is not a plain decimal")
    fraction = (match[2] or "").rstrip("0")
    return int(match[1] + fraction), len(fraction)


def _short(value: int) -> str:
    # repr of a huge int is itself refused by Python, beyond 4300 digits.
    return str(value) if abs(value) < 10**30 else "beyond 10^30"
