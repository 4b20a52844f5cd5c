"""JSON numbers as text, digit for digit: a double in between would change what the venue wrote."""

import re
from decimal import Decimal

import msgspec

from core.errors import MalformedFrame

_NUMBER = re.compile(rb"-?[0-9]{1,60}(?:\.[0-9]{1,60})?(?:[eE]([+-]?[0-9]{1,2}))?")


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
