"""Numbers as a venue wrote them, in JSON strings or as JSON numbers; `exchanges.bounds` says what they may be.

A double in between would change a JSON number: its digits are kept as they stand.
"""

import re
from decimal import Context, Decimal

import msgspec

from core.errors import MalformedFrame
from exchanges import bounds

_WHOLE = re.compile(r"0|[1-9][0-9]{0,18}")
_NUMBER = re.compile(rb"-?[0-9]{1,60}(?:\.[0-9]{1,60})?(?:[eE]([+-]?[0-9]{1,2}))?")
_LAST_KEPT = Decimal(1).scaleb(-bounds.MAX_DECIMALS)
_WIDE = Context(prec=300)


def whole(text: str, what: str) -> int:
    """Read a whole number, 0 included, of at most 19 digits; raise `MalformedFrame` for anything else.

    Example:
        >>> whole("1630048897897", "trade time")
        1630048897897
    """
    if _WHOLE.fullmatch(text) is None:
        raise MalformedFrame(f"{what} {text[: bounds.MAX_TEXT]!r} is not a whole number")
    return int(text)


def micros(text: str, what: str) -> int:
    """Read a time in ms or µs as µs since the epoch, UTC; raise `MalformedFrame` as `exchanges.bounds.micros`."""
    return bounds.micros(whole(text, what), what)


def step(text: str | None, what: str) -> Decimal | None:
    """Read the step of a price or a size; None for 0 or no text: the venue tells none."""
    mantissa, decimals = bounds.total(text or "0", what)
    return Decimal(mantissa).scaleb(-decimals) if mantissa else None


def price_told(text: str | None, what: str) -> str | None:
    """Check a price that a venue need not tell; None for no text and for 0, which is no price.

    Raise `MalformedFrame` as `exchanges.bounds.price`.

    Example:
        >>> price_told("1.5", "index price"), price_told("0.00000000", "index price")
        ('1.5', None)
    """
    mantissa, _ = bounds.price(text or "0", what, zero=True)
    return text if mantissa else None


def number_text(raw: msgspec.Raw, what: str) -> str:
    """Give a JSON number, left raw by the decoder, as plain decimal text; exponents are written out.

    Raise `MalformedFrame` for what is no number (text, null, a list), and for one of more than 60 digits before or
    after the point, or with an exponent beyond 99. Whether its value can be is for `exchanges.bounds` to say.

    Example:
        >>> number_text(msgspec.Raw(b"92294.50"), "price"), number_text(msgspec.Raw(b"4.923e-5"), "size")
        ('92294.50', '0.00004923')
    """
    written = bytes(raw)
    match = _NUMBER.fullmatch(written)
    if match is None:
        raise MalformedFrame(f"{what} {written[:40]!r} is not a JSON number of a usual size")
    text = written.decode("ascii")
    return text if match[1] is None else format(Decimal(text), "f")


def sum_text(raw: msgspec.Raw, what: str) -> str:
    """Give a sum of doubles as `number_text` does: what is beyond 18 decimals is rounding error, and goes."""
    text = number_text(raw, what)
    if len(text.partition(".")[2]) <= bounds.MAX_DECIMALS:
        return text
    return format(Decimal(text).quantize(_LAST_KEPT, context=_WIDE), "f")
