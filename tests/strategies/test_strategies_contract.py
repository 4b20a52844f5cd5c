"""Laws that every strategy keeps; a strategy that is registered is tested here by itself."""

import importlib
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import strategies.parameters
import strategies.rsi
import strategies.strategy
import strategies.wilder
from core.candles import Candle
from core.errors import UserError
from strategies.registry import STRATEGIES, strategy
from strategies.rsi import Rsi
from strategies.strategy import Decision, State, Strategy

Candles = Callable[..., list[Candle]]

names = pytest.mark.parametrize("name", sorted(STRATEGIES))
law = settings(max_examples=30, deadline=None)

# Whole steps of a tick with long pushes: enough to cross levels often.
walks = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 150)).map(
    lambda drawn: (1000.0 + np.cumsum(np.random.default_rng(drawn[0]).integers(-3, 4, drawn[1]) * 0.01)).tolist()
)


def run(one: Strategy[Any], state: State[Any], rows: Sequence[Candle]) -> tuple[State[Any], list[Any]]:
    out = []
    for row in rows:
        state, decisions = one.step(state, row)
        out.append(decisions)
    return state, out


def some_proven(n: int) -> list[bool]:
    return (np.random.default_rng(n).random(n) < 0.8).tolist()


@names
@law
@given(walks, walks, st.integers(2, 9))
def test_what_comes_later_changes_nothing(
    name: str, candles: Candles, first: list[float], then: list[float], length: int
) -> None:
    one = strategy(name, {"length": length})
    alone = run(one, one.start(), candles(first))[1]
    assert run(one, one.start(), candles(first + then))[1][: len(first)] == alone


@names
@law
@given(walks, st.integers(2, 9), st.data())
def test_a_restored_state_equals_no_interruption(
    name: str, candles: Candles, closes: list[float], length: int, data: st.DataObject
) -> None:
    rows = candles(closes, some_proven(len(closes)))
    cut = data.draw(st.integers(0, len(rows)))
    one = strategy(name, {"length": length})
    end, whole = run(one, one.start(), rows)
    before, head = run(one, one.start(), rows[:cut])
    restored, again = pickle.loads(pickle.dumps((before, one)))
    after, tail = run(again, restored, rows[cut:])
    assert head + tail == whole
    assert pickle.dumps(after) == pickle.dumps(end)


@names
@law
@given(walks)
def test_a_step_leaves_its_state_alone(name: str, candles: Candles, closes: list[float]) -> None:
    one = strategy(name)
    state, _ = run(one, one.start(), candles(closes))
    before = pickle.dumps(state)
    row = candles([closes[-1] + 1])[0]
    assert pickle.dumps(one.step(state, row)) == pickle.dumps(one.step(state, row))
    assert pickle.dumps(state) == before


@names
@law
@given(walks, st.integers(2, 9))
def test_decisions_are_changes_of_target(name: str, candles: Candles, closes: list[float], length: int) -> None:
    one = strategy(name, {"length": length})
    on = {"long": 0.0, "short": 0.0}
    state = one.start()
    for row in candles(closes, some_proven(len(closes))):
        state, decisions = one.step(state, row)
        for decision in decisions:
            assert decision.target != on[decision.side]
            on[decision.side] = decision.target
        assert (state.long, state.short) == (on["long"], on["short"])
        assert len({decision.side for decision in decisions}) == len(decisions)


@names
@law
@given(walks, st.integers(2, 9))
def test_an_incomplete_candle_moves_the_memory_and_decides_nothing(
    name: str, candles: Candles, closes: list[float], length: int
) -> None:
    one = strategy(name, {"length": length})
    proven = some_proven(len(closes))
    state = whole = one.start()
    for held, full in zip(candles(closes, proven), candles(closes), strict=True):
        before = state
        state, decisions = one.step(state, held)
        whole, _ = one.step(whole, full)
        assert pickle.dumps(state.memory) == pickle.dumps(whole.memory)
        if not held.complete:
            assert decisions == []
            assert (state.long, state.short) == (before.long, before.short)


@names
def test_a_strategy_decides_and_its_state_stays_small(name: str, candles: Candles) -> None:
    closes = (1000 + np.cumsum(np.random.default_rng(5).normal(size=3000))).tolist()
    one = strategy(name)
    state, decisions = run(one, one.start(), candles(closes))
    assert sum(map(len, decisions)) > 10
    assert len(pickle.dumps(state)) < 4096
    middle, _ = run(one, one.start(), candles(closes[:1500]))
    assert len(pickle.dumps(middle)) == len(pickle.dumps(state))


@names
def test_history_warms_the_memory_and_leaves_the_run_flat(name: str, candles: Candles) -> None:
    closes = (1000 + np.cumsum(np.random.default_rng(6).normal(size=500))).tolist()
    one = strategy(name)
    state, _ = run(one, one.start(), candles(closes))
    warm = one.warm(candles(closes))
    assert warm.memory == state.memory
    assert (warm.long, warm.short) == (0, 0)
    assert (state.long, state.short) != (0, 0)


@names
def test_the_code_covers_everything_that_decides(name: str) -> None:
    code = STRATEGIES[name].code()
    assert inspect.getsource(inspect.getmodule(STRATEGIES[name])) in code  # type: ignore[arg-type]
    assert inspect.getsource(strategies.strategy) in code
    assert inspect.getsource(strategies.parameters) not in code


def test_the_code_follows_a_file_of_ones_own_to_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (
        "from strategies.rsi import Rsi\n"
        "from own_levels import LEVELS, level\n\n\n"
        'class Own(Rsi):\n    name = "own"\n    level = level\n'
    )
    (tmp_path / "own_strategy.py").write_text(source)
    (tmp_path / "own_levels.py").write_text("LEVELS = (30,)\n\n\ndef level():\n    return LEVELS[0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    code = importlib.import_module("own_strategy").Own.code()
    assert source in code
    for module in (strategies.wilder, strategies.rsi, strategies.strategy):
        assert inspect.getsource(module) in code


def test_importing_the_registry_compiles_nothing() -> None:
    look = "import strategies.registry, strategies.wilder as w; print(w.rsi_update.signatures, w.rsi_run.signatures)"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


def test_a_compiled_kernel_alone_leads_to_its_source() -> None:
    assert strategies.wilder.rsi_update.__module__ == "strategies.wilder"


@pytest.mark.parametrize(
    ("side", "target"), [("long", -1), ("long", 1.01), ("short", 1), ("short", -2), ("long", float("nan"))]
)
def test_a_target_out_of_range_is_refused(side: Any, target: float) -> None:
    with pytest.raises(UserError, match=side):
        Decision(side, target, "")


def test_two_targets_for_one_side_are_refused(candles: Candles) -> None:
    class Torn(Rsi):
        name = "torn"

        def decide(self, memory: Any, candle: Candle) -> Any:
            return memory, (Decision("long", 1.0, "up"), Decision("long", 0.5, "half"))

    torn = Torn()
    with pytest.raises(UserError, match="torn"):
        torn.step(torn.start(), candles([1.0])[0])


def test_a_strategy_may_choose_to_decide_on_incomplete_candles(candles: Candles) -> None:
    class Bold(Rsi):
        holds_when_incomplete = False

    closes = (1000 + np.cumsum(np.random.default_rng(7).normal(size=400))).tolist()
    rows, doubtful = candles(closes), candles(closes, [False] * len(closes))
    sure = run(Rsi(), Rsi().start(), rows)[1]
    assert any(sure)
    assert run(Bold(), Bold().start(), doubtful)[1] == sure
    assert not any(run(Rsi(), Rsi().start(), doubtful)[1])
