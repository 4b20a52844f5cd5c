"""The strategies that are known by name."""

from collections.abc import Mapping
from typing import Any

from core.errors import UnknownName
from strategies.rsi import Rsi
from strategies.strategy import Strategy

STRATEGIES: Mapping[str, type[Strategy[Any]]] = {kind.name: kind for kind in (Rsi,)}


def strategy(name: str, params: Mapping[str, Any] | None = None) -> Strategy[Any]:
    """Build a strategy by its name from untrusted parameters.

    Raise `UnknownName` for a strategy or a parameter that is not known and `UserError` for a value that is
    refused.
    """
    try:
        kind = STRATEGIES[name]
    except KeyError:
        raise UnknownName("strategy", name, STRATEGIES) from None
    return kind(params)
