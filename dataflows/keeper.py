"""The keeper of the ledger's server, a component that loads nothing of the dataflows."""

import time
from collections.abc import Callable
from threading import Event

from core.health import Health
from core.settings import Settings
from storage.data_folder import DataFolder
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

_EVERY = 1.0
_SILENT_SECONDS = 5.0


class LedgerComponent:
    """Keep the ledger's server running, and end with `TransientError` when it is gone."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._answered: float | None = None
        self._took = 0.0

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Serve until told to stop."""
        with serve(self._settings, DataFolder(self._settings.data)) as address, Ledger(address) as ledger:
            self._ask(ledger)
            on_ready()
            while not stop.wait(_EVERY):
                self._ask(ledger)

    def _ask(self, ledger: Ledger) -> None:
        began = time.monotonic()
        ledger.ping()
        self._answered = time.monotonic()
        self._took = self._answered - began

    def health(self) -> Health:
        """Say whether the server answers."""
        if self._answered is None:
            return Health("down", ("the server is starting",))
        silent = time.monotonic() - self._answered
        slow = [f"no answer for {silent:.0f} s"] if silent > _SILENT_SECONDS else []
        return Health.judged([], slow, {"answer_seconds": round(self._took, 4)})
