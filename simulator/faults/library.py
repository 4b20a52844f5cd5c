"""The library of scenarios that ship with the simulator: data in the folder ``library``."""

from pathlib import Path

from core.errors import UnknownName
from simulator.faults.scenario import Scenario, read_scenario

_FOLDER = Path(__file__).parent / "library"


def names() -> list[str]:
    """Give the names of the scenarios."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def shipped(name: str) -> Scenario:
    """Give a scenario by its name; raise `UnknownName`."""
    if name not in names():
        raise UnknownName("scenario", name, names())
    return read_scenario(_FOLDER / f"{name}.toml")


def read(name: str) -> Scenario:
    """Give a scenario of the library, or that of a file where ``name`` is a path; raise `UserError`."""
    path = Path(name)
    if path.suffix in (".toml", ".json") or "/" in name:
        return read_scenario(path)
    return shipped(name)


def listed() -> str:
    """Give a line for each scenario: its name and what happens in it."""
    known = names()
    width = max(map(len, known))
    return "".join(f"{name:{width}}  {shipped(name).description}\n" for name in known)
