"""The contract of a strategy: a pure step from candles to decisions."""

import hashlib
import inspect
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from core.candles import Candle
from core.errors import UserError
from core.signals import Side, run_id
from core.timeframes import Timeframe
from strategies.parameters import Parameter, Value, declared, param, read_all

__all__ = ["Decision", "State", "Strategy", "param"]

Memory = TypeVar("Memory")

_NOT_DECIDING = {"strategies.parameters", "strategies.registry"}


@dataclass(frozen=True, slots=True)
class Decision:
    """Say which exposure is wanted on a side from now on, and why.

    ``target`` is 0 to 1 for long and -1 to 0 for short; anything else raises `UserError`.
    """

    side: Side
    target: float
    reason: str

    def __post_init__(self) -> None:
        low, high = (0.0, 1.0) if self.side == "long" else (-1.0, 0.0)
        if not low <= self.target <= high:
            raise UserError(
                f"a {self.side} target lies in [{low:g}, {high:g}], {self.target} does not: mend the strategy"
            )


@dataclass(frozen=True, slots=True)
class State(Generic[Memory]):
    """Hold what a strategy carries from candle to candle: its own memory and the target of each side."""

    memory: Memory
    long: float = 0.0
    short: float = 0.0


class Strategy(ABC, Generic[Memory]):
    """Base of every strategy: parameters are declared as class attributes, `decide` holds the rules.

    An instance is its parameters, checked and fixed; everything that changes is in the `State`, an immutable
    value of bounded size that can be pickled. Nothing here reads a clock or does I/O, so the same step runs
    live, in a replay and in a backtest.

    Construct with a mapping of untrusted parameters; raise `UnknownName` for a name that is not declared and
    `UserError` for a value of another type or out of bounds.

    Example:
        >>> from strategies.rsi import Rsi
        >>> Rsi({"length": 21}).params_json()
        '{"length":21,"overbought":70.0,"oversold":30.0,"sides":"both"}'

    """

    name: ClassVar[str]
    parameters: ClassVar[Mapping[str, Parameter]] = {}
    holds_when_incomplete: ClassVar[bool] = True
    """Whether a candle that is not proven complete only moves the memory on and decides nothing."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.parameters = declared(cls)

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.__dict__.update(read_all(self.parameters, {} if params is None else params, self.name))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self.name}: the parameters of a strategy are fixed, {name!r} cannot be set")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.params == other.params

    def __hash__(self) -> int:
        return hash((type(self), self.params_json()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.params})"

    @property
    def params(self) -> dict[str, Value]:
        """Give the value of every parameter, defaults included."""
        return {name: self.__dict__[name] for name in self.parameters}

    @property
    @abstractmethod
    def warmup(self) -> int:
        """Give how many candles of history the first live candle needs, to be decided on like any other."""

    @abstractmethod
    def remember(self) -> Memory:
        """Give the memory before the first candle."""

    @abstractmethod
    def decide(self, memory: Memory, candle: Candle) -> tuple[Memory, Sequence[Decision]]:
        """Take one candle; give the next memory and the targets that the rules ask for.

        Each side is named at most once. A target that is already on may be asked for again: `step` passes
        on changes only.
        """

    def indicators(self, memory: Memory) -> Mapping[str, float]:
        """Give the values that people watch, by name; NaN for one that is not known yet. Nothing decides on them."""
        return {}

    def start(self) -> State[Memory]:
        """Give the state before the first candle: flat on both sides."""
        return State(self.remember())

    def warm(self, history: Iterable[Candle]) -> State[Memory]:
        """Give the state after ``history`` (in order of start): it remembers the candles and is flat.

        What would have been decided in the past is not a position of this run.
        """
        memory = self.remember()
        for candle in history:
            memory, _ = self.decide(memory, candle)
        return State(memory)

    def step(self, state: State[Memory], candle: Candle) -> tuple[State[Memory], list[Decision]]:
        """Take one closed candle; give the next state and the decisions, which are changes of target only.

        Candles come in order of start, at revision 0. On a candle that is not complete the memory moves on
        with its close, targets stay and nothing is decided (a crossing inside it is not made up for later),
        unless the class sets ``holds_when_incomplete`` to False. A complete candle without trades counts
        like any other.
        """
        memory, wanted = self.decide(state.memory, candle)
        targets = {"long": state.long, "short": state.short}
        if not candle.complete and self.holds_when_incomplete:
            wanted = ()
        changes = [one for one in wanted if one.target != targets[one.side]]
        if len({one.side for one in changes}) < len(changes):
            raise UserError(f"{self.name}: two targets for one side of one candle: mend the strategy")
        targets.update((one.side, one.target) for one in changes)
        return State(memory, targets["long"], targets["short"]), changes

    def params_json(self) -> str:
        """Give the parameters as canonical JSON: all of them, sorted by name, no spaces."""
        return json.dumps(self.params, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def code(cls) -> str:
        """Give the source that decides: the modules of the class, its bases and what they use beside them.

        A change of it is another strategy, hence another run. Raise `UserError` where there is no source file.
        """
        modules = sorted(_deciding(cls), key=lambda module: module.__name__)
        try:
            return "\x1e".join(inspect.getsource(module) for module in modules)
        except (OSError, TypeError):
            raise UserError(f"{cls.name}: the source is not at hand: put the strategy into a file") from None

    @classmethod
    def code_hash(cls) -> str:
        """Give the hash of `code`: 32 hexadecimal digits."""
        return hashlib.blake2b(cls.code().encode(), digest_size=16).hexdigest()

    def run_id(self, instrument: str, tf: Timeframe) -> str:
        """Give the id of this strategy's run on an instrument and timeframe (see `core.signals.run_id`)."""
        return run_id(self.name, self.code(), self.params_json(), instrument, tf)


def _deciding(cls: type) -> set[ModuleType]:
    """Follow the names that a module holds to the modules of the strategy packages that define them."""
    packages = {base.__module__.partition(".")[0] for base in cls.__mro__ if issubclass(base, Strategy)}
    todo = [sys.modules[base.__module__] for base in cls.__mro__ if issubclass(base, Strategy)]
    found: set[ModuleType] = set()
    while todo:
        module = todo.pop()
        if module in found or module.__name__ in _NOT_DECIDING:
            continue
        found.add(module)
        for value in vars(module).values():
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(name, str) and name.partition(".")[0] in packages and name in sys.modules:
                todo.append(sys.modules[name])
    return found
