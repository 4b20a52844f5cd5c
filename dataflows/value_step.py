"""A step with state for Bytewax, for states that are values: nothing ever changes one in place."""

from collections.abc import Callable, Iterable
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import operator
from bytewax.operators import KeyedStream, StatefulLogic

Step = Callable[[Any, Any], tuple[Any, Iterable[Any]]]


class _Logic(StatefulLogic[Any, Any, Any]):
    def __init__(self, step: Step, state: Any) -> None:
        self._step, self._state = step, state

    def on_item(self, value: Any) -> tuple[Iterable[Any], bool]:
        self._state, out = self._step(self._state, value)
        return out, StatefulLogic.DISCARD if self._state is None else StatefulLogic.RETAIN

    def snapshot(self) -> Any:
        return self._state


@operator
def value_flat_map(step_id: str, up: KeyedStream[Any], step: Step) -> KeyedStream[Any]:
    """Do as Bytewax's ``stateful_flat_map``, without copying every state for every snapshot.

    Copying those of 500 instruments each second took 13 % of the dataflow's time. The steps within bear the same
    names, so what either has stored the other recovers.
    """
    return op.stateful("stateful", up, lambda resumed: _Logic(step, resumed))
