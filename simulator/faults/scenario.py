"""Scenarios: what goes wrong in a rehearsal, as data; read from TOML or JSON."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from core.errors import UnknownName, UserError
from simulator.faults.catalog import FAULTS
from simulator.faults.conversion import converted, kind_of
from simulator.faults.fault import Fault
from simulator.faults.reach import refuse_unknown
from simulator.faults.step import Step

_TIMING = ("fault", "at", "every", "chance", "for", "times")
_FILTERS = ("instruments", "channels", "connections", "paths", "sockets")
_STEP = (*_TIMING, "dialects", *_FILTERS)
_LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Happening:
    """Join a step and the fault that happens in it; ``given`` are the parameters as they were written."""

    step: Step
    fault: Fault
    given: Mapping[str, Any]

    @property
    def lasts(self) -> float | None:
        """Give for how many seconds it goes on; None where nothing ends it."""
        return self.step.lasts or self.fault.default


class _Head(Struct, frozen=True, forbid_unknown_fields=True):
    steps: list[dict[str, Any]]
    name: str = "unnamed"
    description: str = ""
    seed: int = 1
    begins: Literal["subscribed", "started"] = "subscribed"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Hold a scenario; ``begins`` when a client has ``subscribed`` to something, or at once when it is ``started``.

    The same seed gives the same faults at the same seconds; what they hit depends on what comes in those.
    """

    name: str
    description: str
    seed: int
    begins: Literal["subscribed", "started"]
    happenings: tuple[Happening, ...]

    @classmethod
    def of(cls, data: object) -> "Scenario":
        """Give the scenario that TOML or JSON tells; raise `UserError`, one line, for what is none."""
        head = _head(data)
        happenings = tuple(_happening(number, step) for number, step in enumerate(head.steps, 1))
        return cls(head.name, head.description, head.seed, head.begins, happenings)


def read_scenario(path: Path) -> Scenario:
    """Read a scenario's file: TOML, or JSON where it is named so; raise `UserError` where it cannot be read."""
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} is no scenario: it is larger than a megabyte")
        text = path.read_text("utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    named = {"name": path.stem, **data} if isinstance(data, dict) else data
    return Scenario.of(named)


def _head(data: object) -> _Head:
    if not isinstance(data, dict):
        raise UserError("a scenario is a table: write name, description, seed and [[steps]]")
    known = _Head.__struct_encode_fields__
    for key in data:
        if key not in known:
            raise UnknownName("key of a scenario", str(key), known)
    steps = data.get("steps", [])
    if not isinstance(steps, list):
        raise UserError(f"the scenario: steps has to be a list of tables, not {kind_of(steps)}: write [[steps]]")
    if not steps:
        raise UserError("a scenario needs at least one step: write [[steps]] with a fault")
    for number, step in enumerate(steps, 1):
        if not isinstance(step, dict):
            raise UserError(f"step {number} has to be a table, not {kind_of(step)}: write [[steps]] with a fault")
    return converted(data, _Head, "the scenario")


def _happening(number: int, written: dict[str, Any]) -> Happening:
    name = written.get("fault")
    if not isinstance(name, str):
        raise UserError(f"step {number} names no fault: write fault = one of {', '.join(FAULTS)}")
    if name not in FAULTS:
        raise UnknownName(f"fault in step {number}", name, FAULTS)
    kind = FAULTS[name]
    own = kind.__struct_encode_fields__
    usable = [*own, *(key for key in _TIMING if key != "for" or kind.lasting), "dialects", *sorted(kind.filters)]
    for key in written:
        if key not in usable:
            raise UnknownName(f"parameter of {name} in step {number}", key, usable)
    place = f"{name} in step {number}"
    step = converted({key: written[key] for key in _STEP if key in written}, Step, place)
    fault = converted({key: written[key] for key in own if key in written}, kind, place)
    refuse_unknown(number, step)
    if step.every is not None and step.chance is not None:
        raise UserError(f"step {number}, {name}, has both every and chance: write one of them")
    happening = Happening(step, fault, {key: value for key, value in written.items() if key != "fault"})
    if (step.every or step.chance) and kind.lasting and happening.lasts is None:
        raise UserError(f"step {number}, {name}, begins again and again, but never ends: write for how many seconds")
    return happening
