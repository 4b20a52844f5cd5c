"""The supervisor: keeps the components running, each its own process, and knows how they fare.

Crash-only: a component that fails ends, and is started again after a growing wait. Nothing here reads what a
component does; nothing of a component is in this process.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from core.health import Health
from tidemill.child import Child, ChildState, Spec

PATIENCE_SECONDS = 10.0
"""How long a child may take to stop."""

_KEPT_EVENTS = 100


class Event(msgspec.Struct, frozen=True):
    """Say what happened, and when (µs since the epoch, UTC)."""

    at: int
    text: str


class Supervisor:
    """Start processes in order, keep them running, stop them in reverse order.

    ``on_event`` is told what happens as it happens, from any thread; ``redact`` takes secrets out of it first.
    Only processes that were started here are ever signalled.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        on_event: Callable[[Event], None] = lambda event: None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self._on_event = on_event
        self._redact = redact
        self._events: deque[Event] = deque(maxlen=_KEPT_EVENTS)
        self._hurry = threading.Event()
        self._children = [Child(spec, self.note) for spec in specs]

    def start(self) -> None:
        """Start every process; none is waited for."""
        for child in self._children:
            child.start()

    def stop(self, patience: float = PATIENCE_SECONDS) -> None:
        """End every process, the last one first: SIGTERM, and SIGKILL after ``patience`` seconds."""
        for child in reversed(self._children):
            child.stop(patience, self._hurry)

    def hurry(self) -> None:
        """Make `stop` kill what is left at once; safe in a signal handler."""
        self._hurry.set()

    def note(self, text: str) -> None:
        """Take note of something that happened."""
        event = Event(time.time_ns() // 1_000, self._redact(text))
        self._events.append(event)
        self._on_event(event)

    def children(self) -> list[ChildState]:
        """Give the state of every child, in the order of starting."""
        return [child.state() for child in self._children]

    def events(self) -> list[Event]:
        """Give what happened last, the newest last."""
        return list(self._events)

    def health(self) -> Health:
        """Say which children are in a crash loop or do not run; figures: ``<name>_restarts`` of each."""
        degraded = []
        figures: dict[str, float | int | str | None] = {}
        for child in self.children():
            figures[f"{child.name}_restarts"] = child.restarts
            last = self._redact(str(child.exits[-1])) if child.exits else "has not started"
            if child.looping:
                degraded.append(f"{child.name} is in a crash loop: {last}")
            elif child.state != "running":
                degraded.append(f"{child.name} {last}")
        return Health.judged(degraded, [], figures)
