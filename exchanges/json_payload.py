"""How JSON that a venue sent is decoded, a frame or an answer: either all of it is sound, or none of it is taken."""

from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from core.errors import MalformedFrame
from exchanges.json_names import refuse_repeated_names

_T = TypeVar("_T")


def read_json(payload: bytes, kind: type[_T], what: str) -> _T:
    """Decode JSON into a struct; raise `MalformedFrame`, and nothing else, where it is not of that form.

    ``what`` is named in the error: "a frame of OKX". What the struct passes over must be sound too: text in UTF-8,
    and no name twice in one object.
    """
    try:
        text = str(payload, "utf-8")
        read: _T = _decoder(kind).decode(text)  # type: ignore[arg-type]
        refuse_repeated_names(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedFrame(f"not {what}: {str(error)[:160]}") from None
    except (RecursionError, ValueError):
        raise MalformedFrame(f"not {what}: nested too deep, or a number too long") from None
    return read


def read_part(raw: msgspec.Raw, kind: type[_T], what: str) -> _T:
    """Decode a part of JSON that has been read as a whole; raise `MalformedFrame` where it is not ``what``."""
    try:
        read: _T = _decoder(kind).decode(raw)  # type: ignore[arg-type]
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise MalformedFrame(f"not {what}: {str(error)[:160]}") from None
    return read


# Lists and unions would be made out anew for every frame: that takes longer than to decode it.
@lru_cache(maxsize=256)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
