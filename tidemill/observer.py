"""Observing the running system: asks its components again and again, so that what is shown never waits for one."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import TransientError
from storage.data_folder import DataFolder
from tidemill.child import ChildState
from tidemill.endpoint import ask
from tidemill.liveness import Component, components
from tidemill.run_files import read
from tidemill.supervisor import Event, Supervisor

_BOARD_SECONDS = 0.5
_HEALTH_SECONDS = 2.0
_SPARED = 20
"""A look that takes long is taken rarely: so many times longer passes before the next."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Hold what was seen at ``at`` (µs since the epoch, UTC); ``board`` is None where the market does not answer.

    ``board`` is what `dataflows.live.MarketComponent.board` gives.
    """

    at: int
    board: dict[str, Any] | None
    components: Sequence[Component]
    children: Sequence[ChildState]
    events: Sequence[Event]


class Observer:
    """Keep the newest `Observed` of a data folder while the context is open."""

    def __init__(self, folder: DataFolder, supervisor: Supervisor, names: Sequence[str]) -> None:
        self._folder, self._supervisor, self._names = folder, supervisor, names
        self._over = threading.Event()
        self._board: dict[str, Any] | None = None
        self._components: Sequence[Component] = ()
        self._threads = [
            threading.Thread(target=self._again, args=(look, every), name="observer", daemon=True)
            for look, every in ((self._look_at_board, _BOARD_SECONDS), (self._look_at_health, _HEALTH_SECONDS))
        ]

    def __enter__(self) -> "Observer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def observed(self) -> Observed:
        """Give what was seen last, without asking anybody."""
        supervisor = self._supervisor
        return Observed(
            time.time_ns() // 1_000, self._board, self._components, supervisor.children(), supervisor.events()
        )

    def _again(self, look: Callable[[], None], every: float) -> None:
        while True:
            began = time.monotonic()
            look()
            # Hundreds of instruments take the market a while to tell, and meanwhile it folds no candles.
            if self._over.wait(max(every, _SPARED * (time.monotonic() - began))):
                return

    def _look_at_board(self) -> None:
        market = read(self._folder, "market")
        try:
            board = ask(market.port, "/board") if market else None
        except TransientError:
            board = None
        self._board = board if isinstance(board, dict) else None

    def _look_at_health(self) -> None:
        self._components = components(self._folder, self._names)
