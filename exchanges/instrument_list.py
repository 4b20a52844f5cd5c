"""The instruments of a venue's list."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from core.errors import MalformedFrame
from core.instruments import Instrument
from exchanges import bounds

_log = structlog.get_logger(__name__)

_NAMED = 20
_Row = TypeVar("_Row")


def listed(
    rows: Iterable[_Row], read: Callable[[_Row], Instrument | None], symbol: Callable[[_Row], str], venue: str
) -> list[Instrument]:
    """Give the instruments of a list but those that ``read`` gives as None: what our names cannot express.

    A row that ``read`` refuses (`MalformedFrame`), and rows that give one name to different instruments, are left
    out, with one warning that names them; ``symbol`` is what a row calls itself. Raise `MalformedFrame` where more is
    to be left out than is left: then it is the list that cannot be read.
    """
    found, odd = dict[str, Instrument](), dict[str, str]()
    for row in rows:
        try:
            instrument = read(row)
        except MalformedFrame as error:
            odd[symbol(row)[: bounds.MAX_TEXT]] = str(error)
            continue
        # Which of two different ones a name means would be a guess.
        if instrument is not None and found.setdefault(instrument.name, instrument) != instrument:
            odd[instrument.name] = f"instrument {instrument.name} stands twice in the list"
    left = [instrument for name, instrument in found.items() if name not in odd]
    if odd:
        why = next(iter(odd.values()))
        if len(odd) > len(left):
            raise MalformedFrame(why)
        _log.warning("instruments_left_out", venue=venue, count=len(odd), instruments=list(odd)[:_NAMED], why=why)
    return left
