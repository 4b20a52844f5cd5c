"""The plan: what other settings would change in a running system; pure, so that it can be held to its laws."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, SecretStr

from core.records import Command
from core.settings import FeedSettings, Settings, StrategySettings
from core.timeframes import timeframe
from dataflows.inbox import wanted
from strategies.registry import strategy
from tidemill.liveness import SIMULATED, needed

T = TypeVar("T")

_MASK = "**********"
# `up` gives the simulated feeds the address of the simulator that it starts.
_GIVEN_BY_UP = ("websocket_url", "rest_url")


class Run(msgspec.Struct, frozen=True, order=True):
    """Name a run of a strategy; ``id`` covers code and parameters, ``params`` is canonical JSON.

    ``warmup`` is how many candles of the past it wants (0 where that is not known).
    """

    id: str
    strategy: str
    instrument: str
    timeframe: str
    params: str
    warmup: int = 0

    @property
    def place(self) -> tuple[str, str, str, str]:
        """Give what the run is of, whatever the code."""
        return self.strategy, self.instrument, self.timeframe, self.params


class Difference(msgspec.Struct, frozen=True):
    """Say what would start and what would stop, each sorted."""

    start: tuple[Any, ...] = ()
    stop: tuple[Any, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.start or self.stop)

    @classmethod
    def between(cls, old: Iterable[Any], new: Iterable[Any]) -> "Difference":
        """Give the two set differences."""
        before, after = set(old), set(new)
        return cls(tuple(sorted(after - before)), tuple(sorted(before - after)))


class Change(msgspec.Struct, frozen=True):
    """Hold one changed setting; None is unset, secrets are masked."""

    setting: str
    old: Any
    new: Any


class Plan(msgspec.Struct, frozen=True):
    """Say what the new settings would start, stop and change.

    ``instruments`` are pairs (feed, instrument), ``runs`` are `Run`, the rest are names.
    """

    components: Difference
    feeds: Difference
    instruments: Difference
    runs: Difference
    timeframes: Difference
    settings: tuple[Change, ...]

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not any(getattr(self, name) for name in self.__struct_fields__)


class WarmUp(msgspec.Struct, frozen=True):
    """Say from where a new run gets its past: candles of the lake, of the venue, and how many nobody has."""

    run: Run
    wanted: int
    lake: int
    venue: int
    missing: int


def compare(
    old: Settings | None, new: Settings, commands: Iterable[Command] = (), running: Iterable[Run] = ()
) -> Plan:
    """Compare the settings that a system runs with (None: it never ran) with other ones.

    ``commands`` are the operators' so far: they go on counting under either settings. ``running`` are the runs
    that the ledger knows to run: theirs is the id that tells whether their code has changed since.

    Raise `UserError` for a strategy or a parameter that is refused.
    """
    given = tuple(commands)
    before, after = (_recorded(settings, given) if settings else set() for settings in (old, new))
    return Plan(
        Difference.between(needed(old) if old else (), needed(new)),
        Difference.between((feed.name for feed in old.feeds) if old else (), (feed.name for feed in new.feeds)),
        Difference.between(before, after),
        Difference.between(
            _as_started(runs(old, (name for _, name in before)), running) if old else (),
            runs(new, (name for _, name in after)),
        ),
        Difference.between(old.candles.timeframes if old else (), new.candles.timeframes),
        changes(old, new) if old else (),
    )


def runs(settings: Settings, instruments: Iterable[str]) -> set[Run]:
    """Give the runs of the settings' strategies on instruments; raise `UserError` where one is refused."""
    names = sorted(set(instruments))
    found = set()
    for one in settings.strategies:
        built, tf = strategy(one.name, one.params), timeframe(one.timeframe)
        for name in names:
            if "*" in one.instruments or name in one.instruments:
                found.add(Run(built.run_id(name, tf), one.name, name, tf.name, built.params_json(), built.warmup))
    return found


def warm_ups(plan: Plan, stored: Mapping[tuple[str, str], int]) -> tuple[WarmUp, ...]:
    """Give from where each new run gets its past.

    ``stored`` counts the lake's candles of (instrument, timeframe). The venue is asked for the past of instruments
    that were never recorded only.
    """
    known = {instrument for (instrument, _), count in stored.items() if count}
    found = []
    for run in plan.runs.start:
        lake = min(run.warmup, stored.get((run.instrument, run.timeframe), 0))
        venue = run.warmup - lake if run.instrument not in known else 0
        found.append(WarmUp(run, run.warmup, lake, venue, run.warmup - lake - venue))
    return tuple(found)


def changes(old: Settings, new: Settings) -> tuple[Change, ...]:
    """Give the settings that differ, by name; where the data lies is no difference.

    Feeds are known by their names; those of one side only are no changed settings. A secret is masked, so that
    only its coming and going shows.
    """
    before, after = _flat(old, new), _flat(new, old)
    names = sorted(before.keys() | after.keys())
    return tuple(
        Change(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


def _recorded(settings: Settings, commands: tuple[Command, ...]) -> set[tuple[str, str]]:
    return {(feed.name, name) for feed in settings.feeds for name in wanted(feed, commands)}


def _as_started(expected: set[Run], running: Iterable[Run]) -> set[Run]:
    """Take the ids of the runs that do run for those that the settings suggest under the code of today."""
    started = {run.place: run.id for run in running}
    return {msgspec.structs.replace(run, id=started.get(run.place, run.id)) for run in expected}


def _flat(settings: Settings, other: Settings) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in type(settings).model_fields:
        if name not in ("data", "feeds", "strategies"):
            values.update(_fields(getattr(settings, name), name))
    values["strategies"] = tuple(_placed(one) for one in settings.strategies)
    others = {feed.name: feed for feed in other.feeds}
    for feed in settings.feeds:
        if feed.name in others:
            values.update(_feed(feed, others[feed.name]))
    return values


def _fields(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        found: dict[str, Any] = {}
        for field in type(value).model_fields:
            found.update(_fields(getattr(value, field), f"{name}.{field}"))
        return found
    return {name: _MASK if isinstance(value, SecretStr) else value}


def _feed(feed: FeedSettings, other: FeedSettings) -> dict[str, Any]:
    values = _fields(feed, f"feeds.{feed.name}")
    del values[f"feeds.{feed.name}.name"]
    # An empty venue means the one of the feed's name: saying it changes nothing.
    values[f"feeds.{feed.name}.venue"] = feed.dialect
    for name in _GIVEN_BY_UP:
        if feed.dialect == SIMULATED and None in (getattr(feed, name), getattr(other, name)):
            values[f"feeds.{feed.name}.{name}"] = None
    return values


def _placed(one: StrategySettings) -> str:
    params = json.dumps(one.params, sort_keys=True, separators=(",", ":")) if one.params else ""
    return " ".join(filter(None, (one.name, one.timeframe, "on", *one.instruments, params)))
