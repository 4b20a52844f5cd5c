"""What steps can reach: a pattern that matches nothing that there is would be a rehearsal in which nothing breaks."""

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from msgspec.structs import replace

from core.errors import UnknownName
from simulator.binance import rest
from simulator.dialect import Dialect
from simulator.dialects import SPOKEN
from simulator.faults.step import Step

CHANNELS = ("trade", "aggregate", "quote", "kline", "mark_price")
DIALECTS = ("binance", "binance-usdm", *(dialect.name for dialect in SPOKEN))
CONNECTIONS = (
    *(f"{below}{path}" for below in ("", "/public", "/market") for path in ("/ws", "/ws/", "/stream")),
    *(path for dialect in SPOKEN for path in dialect.paths),
)
"""The paths of websockets; behind ``/ws/`` Binance's clients name streams."""

_STREAMS = tuple(path for path in CONNECTIONS if path.endswith("/"))
_PLACE = re.compile(r"\\{[a-z]+\\}")


def refuse_unknown(number: int, step: Step) -> None:
    """Raise `UnknownName` where a pattern of the step of this number matches no dialect, channel or websocket."""
    _refuse("dialect", number, step.dialects, DIALECTS, _among(DIALECTS))
    _refuse("channel", number, step.channels, CHANNELS, _among(CHANNELS))
    hit = _among(CONNECTIONS)

    def names_streams(pattern: str) -> bool:
        return pattern.startswith(_STREAMS) and not {"@", "*"}.isdisjoint(pattern)

    _refuse("connection", number, step.connections, CONNECTIONS, lambda one: hit(one) or names_streams(one))


def refuse_unlisted(number: int, step: Step, listed: Sequence[tuple[str, str]], dialects: Iterable[Dialect]) -> None:
    """Raise `UnknownName` where a pattern matches no instrument of (dialect, instrument), or no request to REST."""
    bare = [name.partition(":")[2] for _, name in listed]
    full = [f"{speaks.partition('-')[0]}:{name}" for (speaks, _), name in zip(listed, bare, strict=True)]

    def lists(pattern: str) -> bool:
        one = replace(step, instruments=(pattern,))
        return any(one.hits_instrument(speaks, name) for speaks, name in listed)

    for pattern in step.instruments:
        _refuse("instrument", number, (pattern,), dict.fromkeys(full if ":" in pattern else bare), lists)
    if step.paths:
        paths = [*rest.paths(), *(endpoint.path for dialect in dialects for endpoint in dialect.endpoints())]
        _refuse("path", number, step.paths, paths, _among(paths))


def _refuse(
    what: str, number: int, patterns: Sequence[str], known: Iterable[str], fits: Callable[[str], bool]
) -> None:
    for pattern in patterns:
        if not fits(pattern):
            raise UnknownName(f"{what} in step {number}", pattern, known)


def _among(names: Sequence[str]) -> Callable[[str], bool]:
    """Tell whether a pattern matches one of several names; in those of REST ``{unit}`` stands for anything."""
    places = [re.compile(_PLACE.sub("[^/]+", re.escape(name))) for name in names if "{" in name]

    def fits(pattern: str) -> bool:
        return any(fnmatchcase(name, pattern) for name in names) or any(one.fullmatch(pattern) for one in places)

    return fits
