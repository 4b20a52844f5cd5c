"""How an answer of a venue's REST interface is decoded, whatever it holds."""

from typing import TypeVar

import msgspec

from core.errors import MalformedFrame
from exchanges.json_names import refuse_repeated_names

_T = TypeVar("_T")


def read_answer(payload: bytes, kind: type[_T], venue: str) -> _T:
    """Decode JSON into a struct; raise `MalformedFrame`, and nothing else, where it is not of that form.

    ``venue`` is who is named in the error: "Binance".
    """
    try:
        text = str(payload, "utf-8")
        answer = msgspec.json.decode(text, type=kind)
        refuse_repeated_names(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise MalformedFrame(f"not an answer of {venue}: {str(error)[:160]}") from None
    except (RecursionError, ValueError):
        raise MalformedFrame(f"not an answer of {venue}: nested too deep, or a number too long") from None
    return answer
