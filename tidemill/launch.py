"""What `tidemill up` starts: the components that the settings need, and how each is started."""

import socket
import sys
from collections.abc import Sequence

from core.settings import Settings
from storage.data_folder import DataFolder
from tidemill.child import Spec
from tidemill.components import port
from tidemill.endpoint import HOST, listen
from tidemill.lifeline import settings_line
from tidemill.liveness import needed, served_here


def check_ports(settings: Settings) -> None:
    """Raise `UserError` naming port and setting where one that will be needed is in use."""
    for component in needed(settings):
        listen(port(settings, component), "metrics.port").close()
    if "simulator" in needed(settings):
        listen(settings.simulator.port, "simulator.port").close()


def served_by(settings: Settings, exchange: socket.socket) -> Settings:
    """Give the settings with the simulator's address in each feed that it serves."""
    address = f"{HOST}:{exchange.getsockname()[1]}"
    there = {"websocket_url": f"ws://{address}", "rest_url": f"http://{address}"}
    feeds = tuple(feed.model_copy(update=there) if served_here(feed) else feed for feed in settings.feeds)
    return settings.model_copy(update={"feeds": feeds})


def specs(
    names: Sequence[str], settings: Settings, folder: DataFolder, log: str | None, exchange: socket.socket | None
) -> list[Spec]:
    """Say how each component is started; ``exchange`` is the socket that the simulator serves, ``log`` the level."""
    told = settings_line(settings)
    return [_spec(name, told, folder, log, exchange) for name in names]


def _spec(name: str, told: bytes, folder: DataFolder, log: str | None, exchange: socket.socket | None) -> Spec:
    passed = (exchange.fileno(),) if name == "simulator" and exchange else ()

    def argv(lifeline: int) -> list[str]:
        # -P: a folder of the same name where the user happens to stand must not be taken for one of ours.
        command = [sys.executable, "-P", "-m", "tidemill", *(("--log", log) if log else ()), "run", name]
        listening = [f"--listening={number}" for number in passed]
        return [*command, f"--lifeline={lifeline}", *listening]

    return Spec(name, argv, folder.logs / f"{name}.log", told, passed)
