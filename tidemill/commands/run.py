"""tidemill run: one component of the system, in this process."""

from contextlib import ExitStack
from threading import Event
from typing import Annotated

import structlog
import typer
from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics

from core.errors import UnknownName
from core.health import Health
from storage.data_folder import DataFolder
from tidemill.bodies import body
from tidemill.component_metrics import StateCollector
from tidemill.components import COMPONENTS, port
from tidemill.configuration import adopted, configured
from tidemill.endpoint import described, listen, served
from tidemill.lifeline import receive
from tidemill.run_files import announced
from tidemill.stopping import stop_signals

_STARTING = Health("degraded", ("starting",))


def run(
    ctx: typer.Context,
    component: Annotated[str, typer.Argument(metavar="COMPONENT", help=", ".join(COMPONENTS[1:]) + ".")],
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
    listening: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Run one component of the system in the foreground, for a service manager of your own.

    `tidemill up` runs all of them and starts again what ends. Here an error ends the process: let the service
    manager start it again. SIGTERM and Ctrl-C end it in good order, with exit code 0. Metrics and health are on
    the port that `tidemill status` shows.

    Example: tidemill run recorder
    """
    if component not in COMPONENTS[1:]:
        raise UnknownName("component", component, COMPONENTS[1:])
    settings = configured(ctx) if lifeline is None else adopted(ctx.obj, receive(lifeline))
    folder = DataFolder(settings.data)
    folder.prepare()
    # A series of its own for when each counter began is more than anybody asks for.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    stop, ready = Event(), Event()
    with ExitStack() as stack:
        stack.enter_context(stop_signals(lambda number: stop.set()))
        socket = listen(port(settings, component), "metrics.port")
        work = body(component, settings, registry, listening)
        told = stack.enter_context(announced(folder, component, socket.getsockname()[1]))

        def judged() -> Health:
            return work.health() if ready.is_set() else _STARTING

        registry.register(StateCollector(component, judged))
        health = described(component, told.started, judged)
        stack.enter_context(served(socket, registry, {"/health": health, **work.routes}))
        log = structlog.get_logger().bind(component=component)
        log.info("started", port=told.port)
        work.run(stop, ready.set)
        log.info("stopped")
