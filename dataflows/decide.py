"""Deciding: closed candles go to the runs of the strategies, their decisions become signals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from core.candles import Candle
from core.settings import Settings
from core.signals import Signal
from core.timeframes import BASE, TIMEFRAMES, Timeframe
from dataflows.steps import Advanced
from strategies.registry import strategy
from strategies.strategy import Strategy

_log = structlog.get_logger()
_BASE = {tf.name for tf in BASE}

History = Callable[[str, str, int, int], list[Candle]]
"""Give the last candles of (instrument, timeframe) that begin before a time (µs), at most a count, ascending."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Place a strategy on a timeframe and on instruments (``*``: all)."""

    strategy: Strategy[Any]
    timeframe: Timeframe
    instruments: tuple[str, ...]

    def wants(self, instrument: str) -> bool:
        """Tell whether it runs on an instrument."""
        return "*" in self.instruments or instrument in self.instruments


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Say that a run decides from now on."""

    run: str
    placed: Placed
    instrument: str


@dataclass(frozen=True, slots=True)
class RunStopped:
    """Say that a run failed and decides no more."""

    run: str
    error: str


@dataclass(frozen=True, slots=True)
class RunState:
    """Hold a run of a strategy on one instrument; ``error`` once it has failed."""

    run: str
    state: Any
    error: str = ""


Outcome = RunStarted | RunStopped | Signal
Runs = dict[int, RunState]


def place(settings: Settings) -> list[Placed]:
    """Build the strategies of the settings; raise `UserError` for names and parameters that are refused."""
    return [
        Placed(strategy(one.name, one.params), TIMEFRAMES[one.timeframe], one.instruments)
        for one in settings.strategies
    ]


def decide(
    runs: Runs | None, advanced: Advanced, placed: Sequence[Placed], history: History
) -> tuple[Runs, list[Outcome]]:
    """Let every run on this instrument take the candles that closed. A run starts warm, from its history.

    A strategy that raises is stopped on this instrument and named; the others go on.
    """
    runs = dict(runs or {})
    outcomes: list[Outcome] = []
    for number, one in enumerate(placed):
        if not one.wants(advanced.instrument):
            continue
        for candle in _closed(advanced, one.timeframe.name):
            if number not in runs:
                run = one.strategy.run_id(advanced.instrument, one.timeframe)
                past = history(advanced.instrument, one.timeframe.name, candle.start, one.strategy.warmup)
                runs[number] = RunState(run, one.strategy.warm(past))
                outcomes.append(RunStarted(run, one, advanced.instrument))
            runs[number], more = _step(runs[number], one, candle)
            outcomes.extend(more)
    return runs, outcomes


def _step(run: RunState, placed: Placed, candle: Candle) -> tuple[RunState, list[Outcome]]:
    if run.error:
        return run, []
    try:
        state, decisions = placed.strategy.step(run.state, candle)
    except Exception as error:  # noqa: BLE001 - a strategy is a user's code: whatever it raises stops it alone
        text = f"{type(error).__name__}: {error}"[:500]
        _log.error("strategy stopped", run=run.run, instrument=candle.instrument, error=text)
        return RunState(run.run, run.state, text), [RunStopped(run.run, text)]
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
        return [candle for candle in advanced.larger if candle.timeframe == timeframe]
    return [candle for batch in advanced.base if batch.timeframe == timeframe for candle in batch.candles()]
