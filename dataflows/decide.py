"""Deciding: closed candles go to the runs of the strategies, their decisions become signals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from core.candles import Candle
from core.settings import Settings
from core.signals import Signal
from core.timeframes import BASE, MINUTE, TIMEFRAMES, Timeframe
from dataflows import warm_up
from dataflows.steps import Advanced
from dataflows.warm_up import Past
from strategies.registry import strategy
from strategies.strategy import Strategy

_log = structlog.get_logger()
_BASE = {tf.name for tf in BASE}

History = Callable[[str, str, int, int], list[Candle]]
"""Give the last candles of (instrument, timeframe) that begin before a time (µs), at most a count, ascending.

They are of revision 0: what strategies decide on, and what no later repair changes, so that a run that is built
again from the journal starts from the same past.
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """Place a strategy on a timeframe and on instruments (``*``: all)."""

    strategy: Strategy[Any]
    timeframe: Timeframe
    instruments: tuple[str, ...]
    _runs: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def run(self, instrument: str) -> str:
        """Give the id of its run on an instrument."""
        if instrument not in self._runs:
            self._runs[instrument] = self.strategy.run_id(instrument, self.timeframe)
        return self._runs[instrument]

    def wants(self, instrument: str) -> bool:
        """Tell whether it runs on an instrument."""
        return "*" in self.instruments or instrument in self.instruments


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Say that a run decides from now on, and what it was warmed with."""

    run: str
    placed: Placed
    instrument: str
    past: Past


@dataclass(frozen=True, slots=True)
class RunStopped:
    """Say that a run decides no more: it failed of an error, or is placed no longer (no error)."""

    run: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunState:
    """Hold a run of a strategy on one instrument; ``error`` once it has failed."""

    run: str
    state: Any
    error: str = ""


@dataclass(frozen=True, slots=True)
class Deciding:
    """Hold the runs on one instrument, by id, and what the venue told of each timeframe before the recording."""

    runs: dict[str, RunState] = field(default_factory=dict)
    told: dict[str, tuple[Candle, ...]] = field(default_factory=dict)


Outcome = RunStarted | RunStopped | Signal


def place(settings: Settings) -> list[Placed]:
    """Build the strategies of the settings; raise `UserError` for names and parameters that are refused."""
    return [
        Placed(strategy(one.name, one.params), TIMEFRAMES[one.timeframe], one.instruments)
        for one in settings.strategies
    ]


def decide(
    state: Deciding | None, advanced: Advanced, placed: Sequence[Placed], history: History
) -> tuple[Deciding, list[Outcome]]:
    """Let every run on this instrument take the candles that closed. A run starts warm, from its past.

    A run is known by its id: other code or parameters are another run, and what is placed no more is stopped. A
    strategy that raises is stopped on this instrument and named; the others go on.
    """
    wanted = {one.run(advanced.instrument): one for one in placed if one.wants(advanced.instrument)}
    runs, told = (state.runs, state.told) if state else ({}, {})
    if advanced.told is not None:
        told = {**told, advanced.told.timeframe: warm_up.read(advanced.told)}
    outcomes: list[Outcome] = [RunStopped(run) for run in runs if run not in wanted]
    runs = {run: kept for run, kept in runs.items() if run in wanted}
    for run, one in wanted.items():
        for candle in _closed(advanced, one.timeframe.name):
            if run not in runs:
                runs[run], more = _start(run, one, candle, history, told.get(one.timeframe.name, ()))
                outcomes.extend(more)
            runs[run], more = _step(runs[run], one, candle)
            outcomes.extend(more)
    # Once a timeframe has closed a candle its runs have begun; whatever is placed later finds its past in the lake.
    return Deciding(runs, {name: rows for name, rows in told.items() if not _closed(advanced, name)}), outcomes


def _start(
    run: str, placed: Placed, candle: Candle, history: History, told: Sequence[Candle]
) -> tuple[RunState, list[Outcome]]:
    count = placed.strategy.warmup
    stored = history(candle.instrument, candle.timeframe, candle.start, count)
    past = warm_up.join(told, stored, candle.start, count)
    started = RunStarted(run, placed, candle.instrument, past)
    try:
        return RunState(run, placed.strategy.warm(past.candles)), [started]
    except Exception as error:  # noqa: BLE001 - as in _step
        state, outcomes = _failed(run, candle, error)
        return state, [started, *outcomes]


def _failed(run: str, candle: Candle, error: Exception) -> tuple[RunState, list[Outcome]]:
    text = f"{type(error).__name__}: {error}"[:500]
    _log.error("strategy stopped", run=run, instrument=candle.instrument, error=text)
    return RunState(run, None, text), [RunStopped(run, text)]


def _step(run: RunState, placed: Placed, candle: Candle) -> tuple[RunState, list[Outcome]]:
    if run.error:
        return run, []
    try:
        state, decisions = placed.strategy.step(run.state, candle)
    except Exception as error:  # noqa: BLE001 - a strategy is a user's code: whatever it raises stops it alone
        return _failed(run.run, candle, error)
    signals: list[Outcome] = [
        Signal(
            run.run,
            candle.instrument,
            candle.timeframe,
            candle.start,
            decision.side,
            decision.target,
            decision.reason,
            candle.close,
            placed.timeframe.end(candle.start),
        )
        for decision in decisions
    ]
    return RunState(run.run, state), signals


def _closed(advanced: Advanced, timeframe: str) -> list[Candle]:
    if timeframe not in _BASE:
        larger = [candle for candle in advanced.larger if candle.timeframe == timeframe]
        return [_with_spread(advanced, candle, _closing(advanced, candle)) for candle in larger]
    return [
        _with_spread(advanced, candle, offset)
        for batch in advanced.base
        if batch.timeframe == timeframe
        for candle, offset in zip(batch.candles(), batch.offset.tolist(), strict=True)
    ]


def _closing(advanced: Advanced, candle: Candle) -> int:
    """Give the offset of the record that closed a larger candle: the one that closed its last minute."""
    last = TIMEFRAMES[candle.timeframe].end(candle.start) - MINUTE
    minutes = [batch for batch in advanced.base if batch.timeframe == BASE[1].name]
    return min((int(o) for b in minutes for o in b.offset[b.start >= last]), default=-1)


def _with_spread(advanced: Advanced, candle: Candle, offset: int) -> Candle:
    if advanced.quotes is None:
        return candle
    best = advanced.quotes.best(candle.instrument, offset)
    return candle if best is None else replace(candle, spread=best.spread)
