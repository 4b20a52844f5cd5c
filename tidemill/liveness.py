"""Liveness: which components of a data folder run, and what each says of itself."""

import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from pydantic import ValidationError

from core.errors import TransientError, UserError
from core.health import State
from core.settings import FeedSettings, Settings
from storage.data_folder import DataFolder
from tidemill.components import COMPONENTS
from tidemill.endpoint import HOST, ask
from tidemill.run_files import RunFile, read

SIMULATED = "simulated"
_TIMEOUT_SECONDS = 3.0


class Component(msgspec.Struct, frozen=True):
    """Say how a component is; ``uptime_s`` in seconds, ``restarts`` as its supervisor counts them.

    What does not run is ``down``, and ``running`` tells whether that is a fault (it should run and does not) or
    nobody has started it.
    """

    name: str
    running: bool
    state: State
    why: tuple[str, ...] = ()
    pid: int | None = None
    address: str | None = None
    uptime_s: float | None = None
    rss_bytes: int | None = None
    restarts: int | None = None
    figures: dict[str, float | int | str | None] = {}


class _Answer(msgspec.Struct):
    component: str
    pid: int
    state: State
    why: tuple[str, ...] = ()
    figures: dict[str, float | int | str | None] = {}


def served_here(feed: FeedSettings) -> bool:
    """Tell whether a feed is that of our own simulator: one with an address has its exchange elsewhere."""
    return feed.dialect == SIMULATED and feed.websocket_url is None and feed.rest_url is None


def needed(settings: Settings) -> tuple[str, ...]:
    """Give the components that these settings need, in the order in which they start.

    Example:
        >>> needed(Settings())
        ('supervisor', 'ledger', 'simulator', 'recorder', 'market', 'reviser')
    """
    simulated = any(served_here(feed) for feed in settings.feeds)
    return tuple(name for name in COMPONENTS if simulated or name != "simulator")


def components(folder: DataFolder, names: Iterable[str]) -> list[Component]:
    """Ask every component how it is, all at once; one that does not answer within 3 s is down.

    The result holds ``names`` and whatever else has a run file, in the order in which they start.
    """
    wanted = set(names)
    files = {name: read(folder, name) for name in COMPONENTS}
    shown = [name for name in COMPONENTS if name in wanted or files[name] is not None]
    with ThreadPoolExecutor(len(COMPONENTS)) as pool:
        asked = list(pool.map(lambda name: _judged(name, files[name]), shown))
    supervisor = next((one for one in asked if one.name == "supervisor"), None)
    return [_counted(one, supervisor) for one in asked] if supervisor is not None else asked


def supervised(folder: DataFolder) -> bool:
    """Tell whether `tidemill up` runs on this folder."""
    return _judged("supervisor", read(folder, "supervisor")).running


def resolved(folder: DataFolder) -> Settings | None:
    """Give the settings that the system runs with, or ran with last; secrets are masked. None: it never ran.

    Raise `UserError` for settings that this version cannot read.
    """
    path = folder.run / "settings.json"
    try:
        return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise UserError(
            f"{path} cannot be read by this version: start the system again with `tidemill up`, which writes it"
        ) from None


def lags(folder: DataFolder) -> dict[str, dict[str, Any]]:
    """Give how far the market dataflow is behind each feed's journal, as its board tells; empty without one."""
    file = read(folder, "market")
    if file is None or not alive(file.pid):
        return {}
    try:
        return {str(feed): dict(lag) for feed, lag in ask(file.port, "/board", _TIMEOUT_SECONDS)["feeds"].items()}
    except (TransientError, OverflowError, KeyError, TypeError, ValueError, AttributeError):
        return {}


def alive(pid: int) -> bool:
    """Tell whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return pid > 0


def _judged(name: str, file: RunFile | None) -> Component:
    if file is None:
        return Component(name, False, "down", ("not running",))
    if not alive(file.pid):
        return Component(name, False, "down", (f"process {file.pid} has ended without saying why",))
    uptime = max(0.0, time.time() - file.started / 1e6)
    address = f"http://{HOST}:{file.port}"
    known = Component(name, True, "down", (), file.pid, address, round(uptime, 1))
    try:
        answer = msgspec.convert(ask(file.port, "/health", _TIMEOUT_SECONDS), _Answer)
    except (TransientError, OverflowError, msgspec.ValidationError) as error:
        return msgspec.structs.replace(known, why=(f"process {file.pid} gives no health: {error}",))
    if (answer.component, answer.pid) != (name, file.pid):
        # The process was killed, and its id or its port belongs to another one now.
        other = f"process {file.pid} has ended: {answer.component} {answer.pid} answers at {address}"
        return Component(name, False, "down", (other,))
    rss = answer.figures.get("rss_bytes")
    return msgspec.structs.replace(
        known,
        state=answer.state,
        why=answer.why,
        figures=answer.figures,
        rss_bytes=int(rss) if isinstance(rss, int | float) else None,
    )


def _counted(one: Component, supervisor: Component) -> Component:
    """Add what the supervisor knows of a component."""
    restarts = supervisor.figures.get(f"{one.name}_restarts")
    why = one.why
    if not one.running and one is not supervisor:
        why += tuple(line for line in supervisor.why if line.startswith(f"{one.name} "))
    return msgspec.structs.replace(
        one, restarts=int(restarts) if isinstance(restarts, int | float) else None, why=why
    )
