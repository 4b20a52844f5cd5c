"""What runs inside a component's process; each component loads only what it needs itself."""

import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from threading import Event
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from core.health import Health
from core.settings import Settings
from storage.data_folder import DataFolder
from tidemill.commands.table import load
from tidemill.endpoint import Tell, listen

_NICE = 10


class Body(Protocol):
    """Run until ``stop`` is set; say when it is ready, and at any time how it is."""

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None: ...  # noqa: D102 - said above

    def health(self) -> Health: ...  # noqa: D102

    @property
    def routes(self) -> Mapping[str, Tell]:
        """Give what its endpoint tells beside metrics and health."""
        ...


def body(component: str, settings: Settings, registry: CollectorRegistry, listening: int | None) -> Body:
    """Make the body of a component; its figures go into ``registry``.

    ``listening`` is the descriptor of the socket that the simulator serves; without, it listens by itself.
    """
    if component == "simulator":
        return SimulatorBody(settings, listening)
    if component == "recorder":
        return LiveBody(load("dataflows.recorder.component").RecorderComponent(settings, registry))
    if component == "ledger":
        return LiveBody(load("dataflows.keeper").LedgerComponent(settings))
    live = load("dataflows.live")
    if component == "market":
        market = live.MarketComponent(settings, registry)
        return LiveBody(market, {"/board": market.board})
    return BackgroundBody(live.ReviserComponent(settings, registry))


class LiveBody:
    """Run one of the components of `dataflows`."""

    def __init__(self, component: Any, routes: Mapping[str, Tell] | None = None) -> None:
        self.run = component.run
        self.health = component.health
        self.routes = routes or {}


class BackgroundBody(LiveBody):
    """Run one that can wait: what is live goes first where processors are few."""

    def __init__(self, component: Any) -> None:
        super().__init__(component)
        self._run, self.run = component.run, self._yielding

    def _yielding(self, stop: Event, on_ready: Callable[[], None]) -> None:
        os.nice(_NICE)
        self._run(stop, on_ready)


class SimulatorBody:
    """Serve the invented market of this data folder: the same one after every start."""

    routes: Mapping[str, Tell] = {}

    def __init__(self, settings: Settings, listening: int | None) -> None:
        self._settings = settings
        self._listening = listening
        self._exchange: Any = None

    def run(self, stop: Event, on_ready: Callable[[], None]) -> None:
        """Serve until told to stop."""
        wanted, folder = self._settings.simulator, DataFolder(self._settings.data)
        now = time.time_ns() // 1_000
        tape = load("simulator.tapes.invented").InventedTape.open(
            wanted.seed, folder=folder.simulator, now=now, history_hours=wanted.history_hours
        )
        with closing(tape), self._socket() as serving:
            # Asked again: drawing a first history takes seconds.
            clock = load("simulator.clock").MarketClock(1.0, time.time_ns() // 1_000)
            self._exchange = load("simulator.exchange").SimulatedExchange(tape, clock)
            load("simulator.server").serve(self._exchange, [serving], on_ready, stop)

    def _socket(self) -> socket.socket:
        if self._listening is None:
            return listen(self._settings.simulator.port, "simulator.port")
        serving = socket.socket(fileno=self._listening)
        serving.set_inheritable(False)
        return serving

    def health(self) -> Health:
        """Say how the exchange is."""
        if self._exchange is None:
            return Health("down", ("the simulator is starting",))
        health: Health = self._exchange.health()
        return health
