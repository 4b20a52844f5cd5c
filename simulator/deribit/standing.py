"""How one websocket stands with Deribit: its credits, and the heartbeat that it asked for.

Source: docs.deribit.com, "Rate limits" (a subscription costs 3,000 of 30,000 credits, any other request 500 of
50,000; 10,000 come back each second) and ``public/set_heartbeat``.
"""

_REFILL = 10_000.0
_POOLS = {"subscribe": (30_000.0, 3_000.0), "other": (50_000.0, 500.0)}
_SUBSCRIBING = ("public/subscribe", "public/unsubscribe", "public/unsubscribe_all")
_PATIENCE = 5.0
"""Seconds that a client has to answer a test request."""


class Standing:
    """Hold a connection's credits and heartbeat; times are readings of the monotonic clock, in seconds."""

    def __init__(self, now: float) -> None:
        self._credits = {pool: most for pool, (most, _) in _POOLS.items()}
        self._counted = now
        self._interval: float | None = None
        self._due: float | None = None
        self._asked: float | None = None

    def spend(self, method: str, now: float) -> bool:
        """Pay for a request; False where there are no credits for it. ``public/test`` answers a test request."""
        self._asked = None if method == "public/test" else self._asked
        for pool, (most, _) in _POOLS.items():
            self._credits[pool] = min(most, self._credits[pool] + (now - self._counted) * _REFILL)
        self._counted = now
        pool = "subscribe" if method in _SUBSCRIBING else "other"
        self._credits[pool] -= _POOLS[pool][1]
        return self._credits[pool] >= 0

    def beat_every(self, interval: float | None) -> None:
        """Send a heartbeat every ``interval`` seconds from now on; None for none."""
        self._interval, self._due, self._asked = interval, None, None

    def beats(self, now: float) -> list[str] | None:
        """Give the heartbeats that are due: None for nothing, an empty list where the client did not answer."""
        if self._interval is None:
            return None
        if self._asked is not None and now >= self._asked + min(_PATIENCE, self._interval):
            return []
        if self._due is None:
            self._due = now + self._interval
        if now < self._due:
            return None
        self._due = now + self._interval
        self._asked = now if self._asked is None else self._asked
        return ["heartbeat", "test_request"]
