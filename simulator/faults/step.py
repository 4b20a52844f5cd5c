"""Steps of a scenario: when a fault begins, how long it lasts, and what it hits."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from random import Random
from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0)]
Names = tuple[str, ...]


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"lasts": "for"}):
    """Say when one fault happens and what it hits; times are seconds of the real clock.

    It begins ``at`` seconds after the scenario's beginning; then ``every`` so many seconds, or in each second with
    ``chance``, at most ``times`` times; never while it still lasts. It ends after ``lasts`` (written ``for``).
    ``dialects`` (``okx``, ``binance-usdm``), ``instruments`` (``BTC-USDT``, ``*-PERP``; ``okx:BTC-USDT``),
    ``channels`` (``trade``, ``aggregate``, ``quote``, ``kline``, ``mark_price``), ``connections`` (a websocket's
    path) and ``paths`` (of REST) are patterns: * stands for anything, none for all. ``sockets``: no more of the open
    websockets than so many, drawn by the seed.
    """

    fault: str
    at: Annotated[float, Meta(ge=0)] = 0.0
    every: Positive | None = None
    chance: Annotated[float, Meta(gt=0, le=1)] | None = None
    lasts: Positive | None = None
    times: Annotated[int, Meta(ge=1)] | None = None
    dialects: Names = ()
    instruments: Names = ()
    channels: Names = ()
    connections: Names = ()
    paths: Names = ()
    sockets: Annotated[int, Meta(ge=1)] | None = None

    def moments(self, random: Random, lasts: float) -> Iterator[float]:
        """Yield the seconds after the beginning at which the fault begins, ascending; ``random`` decides chances."""
        told, free = 0, 0.0
        for moment in self._candidates(random):
            if moment < free:
                continue
            yield moment
            told, free = told + 1, moment + lasts
            if told == self.times:
                return

    def hits_dialect(self, speaks: str) -> bool:
        """Tell whether a dialect is hit."""
        return _matches(self.dialects, speaks)

    def hits_instrument(self, speaks: str, name: str) -> bool:
        """Tell whether an instrument of a dialect is hit; ``name`` is the tape's or the venue's."""
        bare = name.partition(":")[2]
        exchange = speaks.partition("-")[0]
        return self.hits_dialect(speaks) and (
            _matches(self.instruments, bare) or _matches(self.instruments, f"{exchange}:{bare}")
        )

    def hits_channel(self, kind: str) -> bool:
        """Tell whether a channel is hit."""
        return _matches(self.channels, kind)

    def hits_connection(self, speaks: str, path: str) -> bool:
        """Tell whether a websocket is hit."""
        return self.hits_dialect(speaks) and _matches(self.connections, path)

    def hits_path(self, speaks: str, path: str) -> bool:
        """Tell whether a REST request is hit."""
        return self.hits_dialect(speaks) and _matches(self.paths, path)

    def _candidates(self, random: Random) -> Iterator[float]:
        moment = self.at
        if self.every is None and self.chance is None:
            yield moment
            return
        while True:
            if self.chance is None or random.random() < self.chance:
                yield moment
            moment += self.every or 1.0


def _matches(patterns: Names, text: str) -> bool:
    return not patterns or any(fnmatchcase(text, pattern) for pattern in patterns)
