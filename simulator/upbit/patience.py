"""How much Upbit bears of REST: requests a second by group, told in every answer, and blocks that grow.

Source: docs.upbit.com, "Rate limits": the header ``Remaining-Req``, 429 above the limit, 418 for who goes on. Counted
for all addresses together: an exchange on one's own machine has few.
"""

import time
from collections.abc import Callable, Iterator, Mapping

_FORGIVEN = 10
"""Refusals before a block, less than a second apart: who waits after a refusal is not blocked."""
_FIRST_BLOCK = 2.0
_QUIET = 60.0
"""Seconds without a refusal after which earlier blocks are forgotten."""


class Group(Mapping[str, str]):
    """Count one group of requests; as a mapping, give the headers of its answers as they are now."""

    def __init__(self, name: str, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self.name, self.most, self._now = name, most, now
        self._second, self._count = -1, 0
        self._refused, self._blocks, self._last, self._until = 0, 0, 0.0, 0.0

    def count(self) -> None:
        """Count a request."""
        second = int(self._now())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1

    def blocked(self) -> float:
        """Give for how many more seconds the group is blocked, 0 where it is not."""
        return max(0.0, self._until - self._now())

    def refuse(self) -> float:
        """Count a refusal, and give for how many seconds it blocks the group: 0 while that is forgiven."""
        now = self._now()
        if now > self._last + _QUIET and not self.blocked():
            self._blocks = 0
        if now >= self._last + 1:
            self._refused = 0
        self._last = now
        self._refused += 1
        if self._refused > _FORGIVEN and not self.blocked():
            self._until = now + _FIRST_BLOCK * 2**self._blocks
            self._blocks += 1
        return self.blocked()

    def __getitem__(self, name: str) -> str:
        if name != "Remaining-Req":
            raise KeyError(name)
        left = max(0, self.most - self._count) if int(self._now()) == self._second else self.most
        return f"group={self.name}; min=1800; sec={left}"

    def __iter__(self) -> Iterator[str]:
        return iter(("Remaining-Req",))

    def __len__(self) -> int:
        return 1
