"""Health: what a component says of itself."""

from typing import Literal

import msgspec

State = Literal["healthy", "degraded", "down"]
"""``degraded`` works, but not as it should; ``down`` does not work."""


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Say how a component is, and why; ``figures`` are what that was judged by, for people and scripts."""

    state: State = "healthy"
    why: tuple[str, ...] = ()
    figures: dict[str, float | int | str | None] = {}

    @classmethod
    def judged(cls, degraded: list[str], down: list[str], figures: dict[str, float | int | str | None]) -> "Health":
        """Give the health that these reasons make; no reason is healthy.

        Example:
            >>> Health.judged(["lag 12 s"], [], {}).state
            'degraded'
        """
        state: State = "down" if down else "degraded" if degraded else "healthy"
        return cls(state, (*down, *degraded), figures)
