"""Upbit's market codes, ``KRW-BTC``: the quote asset first."""

import re
from functools import lru_cache

from core.errors import MalformedFrame, UserError
from core.instruments import Instrument

EXCHANGE = "upbit"

_CODE = re.compile(r"([A-Z]{3,5})-([A-Z0-9]{1,20})")


@lru_cache(maxsize=8192)
def split(code: str) -> Instrument:
    """Give the instrument that a code names; raise `MalformedFrame` where it is none.

    Example:
        >>> split("KRW-BTC").name
        'upbit:BTC-KRW'
    """
    match = _CODE.fullmatch(code) if len(code) <= 30 else None
    if match is None:
        raise MalformedFrame(f"unknown market {code[:40]!r}")
    return Instrument(EXCHANGE, match[2], match[1], native=code)


def join(instrument: Instrument) -> str:
    """Give the code of an instrument; raise `UserError` where Upbit, which has spot only, has no such market."""
    if instrument.venue != EXCHANGE or instrument.expiry:
        raise UserError(f"{instrument.name} is not an instrument of Upbit")
    return instrument.native or f"{instrument.quote}-{instrument.base}"
