"""The instruments of a venue's list."""

from collections.abc import Iterable

from core.errors import MalformedFrame
from core.instruments import Instrument


def each_once(instruments: Iterable[Instrument | None]) -> list[Instrument]:
    """Give the instruments of a list but None, which stands for what our names cannot express.

    Raise `MalformedFrame` where two of them have one name: which of them it means would be a guess.
    """
    found: dict[str, Instrument] = {}
    for instrument in instruments:
        if instrument is None:
            continue
        if instrument.name in found:
            raise MalformedFrame(f"instrument {instrument.name} stands twice in the list")
        found[instrument.name] = instrument
    return list(found.values())
