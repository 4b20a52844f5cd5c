"""tidemill up: the whole system, supervised and watched."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Annotated, Any, BinaryIO

import msgspec
import typer
from prometheus_client import CollectorRegistry, ProcessCollector
from rich.console import Console

from core.settings import Settings
from storage.data_folder import DataFolder
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve
from tidemill.child import opened_log
from tidemill.chosen_feeds import chosen
from tidemill.chosen_strategies import refuse_unknown
from tidemill.component_metrics import RestartCollector, StateCollector
from tidemill.components import port
from tidemill.configuration import configured
from tidemill.durations import seconds
from tidemill.endpoint import described, listen, served
from tidemill.launch import check_ports, served_by, specs
from tidemill.live_table import shown
from tidemill.liveness import needed
from tidemill.observer import Observer
from tidemill.options import GlobalOptions
from tidemill.run_files import announced
from tidemill.stopping import stop_signals
from tidemill.supervisor import Event, Supervisor

_REDRAW_SECONDS = 0.5
_KILLED = 130


def up(
    ctx: typer.Context,
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A feed of the settings, or a venue (binance): only this one. Repeatable."),
    ] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="60s", help="End by itself after this time (s, m, h).")
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of a table.")] = False,
) -> None:
    """Run the whole system and watch it: ledger, recorder, market dataflow, reviser, each its own process.

    Without a feed of your own it trades nowhere and needs no network: a simulator invents a market. What ends is
    started again. Ctrl-C or SIGTERM stops everything in good order, with exit code 0; a second Ctrl-C at once.

    Example: tidemill up --feed binance --for 10m
    """
    settings, options = configured(ctx), ctx.obj
    limit = None if length is None else seconds(length, "--for")
    settings = chosen(settings, feed or ())
    refuse_unknown(settings)
    folder = DataFolder(settings.data)
    _refuse(settings, folder)
    with ExitStack() as stack:
        try:
            supervisor, places = _started(stack, settings, folder, options)
        except (KeyboardInterrupt, SystemExit):
            sys.stdout.write("stopped before it had started\n")
            return
        killed = _watched(supervisor, settings, folder, places, limit, plain)
        said = "what was left was killed" if killed else "stopped"
        sys.stdout.write(f"{said}; the data is in {settings.data}\n")
    if killed:
        raise typer.Exit(_KILLED)


def _refuse(settings: Settings, folder: DataFolder) -> None:
    """Refuse what cannot start, before anything is created or changed."""
    if folder.exists:
        # Said first: where the system runs already, its ports are in use too.
        with folder.hold("up"):
            pass
    check_ports(settings)


def _started(
    stack: ExitStack, settings: Settings, folder: DataFolder, options: GlobalOptions
) -> tuple[Supervisor, list[tuple[str, str]]]:
    """Start everything on the stack, so that it ends in the opposite order."""
    stack.enter_context(folder.hold("up"))
    folder.run.mkdir(exist_ok=True)
    part = folder.run / "settings.json.part"
    part.write_text(settings.model_dump_json(), "utf-8")
    part.replace(folder.run / "settings.json")
    names, exchange = needed(settings)[1:], None
    resolved = settings
    if "simulator" in names:
        exchange = stack.enter_context(listen(settings.simulator.port, "simulator.port"))
        resolved = served_by(settings, exchange)
    endpoint = listen(port(settings, "supervisor"), "metrics.port")
    stack.callback(endpoint.close)
    with _busy("starting the ledger"):
        address = stack.enter_context(serve(settings, folder))
        migrate(address)
        with Ledger(address) as ledger:
            for feed in resolved.feeds:
                ledger.register_feed(feed.name, feed.dialect)
    log = stack.enter_context(opened_log(folder.logs / "supervisor.log"))
    supervisor = Supervisor(specs(names, resolved, folder, options.log, exchange), _logged(log), options.redact)
    told = stack.enter_context(announced(folder, "supervisor", endpoint.getsockname()[1]))
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(StateCollector("supervisor", supervisor.health))
    registry.register(RestartCollector(supervisor.children))
    routes: dict[str, Callable[[], Any]] = {
        "/health": described("supervisor", told.started, supervisor.health),
        "/children": supervisor.children,
        "/events": supervisor.events,
    }
    stack.enter_context(served(endpoint, registry, routes))
    # Once more where the way out does not lead through its orderly end.
    stack.callback(supervisor.stop)
    supervisor.start()
    return supervisor, _places(resolved, folder, options, told.port, exchange is not None)


def _watched(
    supervisor: Supervisor,
    settings: Settings,
    folder: DataFolder,
    places: list[tuple[str, str]],
    limit: float | None,
    plain: bool,
) -> bool:
    """Show the system until it is told to stop, then stop it; tell whether it had to be killed."""
    stop, killed = threading.Event(), threading.Event()

    def told(number: int) -> None:
        if stop.is_set():
            killed.set()
            supervisor.hurry()
        stop.set()

    deadline = time.monotonic() + limit if limit is not None else None
    with stop_signals(told):
        try:
            with (
                Observer(folder, supervisor, needed(settings)) as observer,
                shown(plain, places, time.time_ns() // 1_000) as show,
            ):
                while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
                    show(observer.observed())
                    stop.wait(_REDRAW_SECONDS if deadline is None else min(_REDRAW_SECONDS, limit or 0))
        finally:
            stop.set()
            sys.stdout.write("stopping (Ctrl-C: at once)\n")
            sys.stdout.flush()
            supervisor.stop()
    return killed.is_set()


def _logged(log: BinaryIO) -> Callable[[Event], None]:
    def write(event: Event) -> None:
        log.write(msgspec.json.encode(event) + b"\n")
        log.flush()

    return write


@contextmanager
def _busy(text: str) -> Iterator[None]:
    console = Console()
    with console.status(text) if console.is_terminal else nullcontext():
        if not console.is_terminal:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        yield


def _places(
    settings: Settings, folder: DataFolder, options: GlobalOptions, endpoint: int, simulator: bool
) -> list[tuple[str, str]]:
    data = f" --data {options.data}" if options.data else ""
    simulated = next((feed for feed in settings.feeds if simulator and feed.websocket_url), None)
    return [
        *([("simulator", f"{simulated.websocket_url}  {simulated.rest_url}")] if simulated else []),
        ("metrics", f"http://127.0.0.1:{endpoint}/metrics  (the others: tidemill status{data})"),
        ("data", f"{folder.path.resolve()}  (logs in {folder.logs.name}/)"),
        ("try", f'tidemill sql{data} "FROM candles ORDER BY start DESC LIMIT 5"'),
    ]
