"""The components of a running system: their names, in the order in which they start, and their ports."""

from core.settings import Settings

COMPONENTS = ("supervisor", "ledger", "simulator", "recorder", "market", "reviser")
"""Each is a process of its own; the first is `tidemill up`, which starts the others."""


def port(settings: Settings, component: str) -> int:
    """Give the port of a component's endpoint on loopback; 0 takes a free one."""
    first = settings.metrics.port
    return first + COMPONENTS.index(component) if first else 0
