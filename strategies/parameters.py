"""Parameters: what may be set on a strategy, within which bounds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from core.errors import UnknownName, UserError

Value = int | float | str | bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """Declare one parameter: its type, its default and its bounds (``ge`` and ``le`` may be reached)."""

    name: str
    kind: type
    default: Value
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: tuple[str, ...] = ()

    def read(self, value: object, owner: str) -> Value:
        """Give the value under the declared type; raise `UserError` where that or a bound is broken.

        A whole number is taken for a float, nothing else is converted: neither text nor a float for a whole
        number, nor true and false for 1 and 0.
        """
        where = f"{owner}: parameter {self.name!r}"
        if self.kind is float and type(value) is int and abs(value) <= 2**53:
            value = float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise UserError(f"{where} must be {_KINDS[self.kind]}, not {_shown(value)}")
        if isinstance(value, str):
            return self._chosen(value, where)
        if isinstance(value, bool):
            return value
        if not isinstance(value, int | float) or not self._within(value):
            raise UserError(f"{where} must be {_KINDS[self.kind]}{self._bounds()}, not {_shown(value)}")
        return self.kind(value)  # type: ignore[no-any-return] # a subclass of float or int becomes the plain one

    def _chosen(self, value: str, where: str) -> str:
        if self.choices and value not in self.choices:
            raise UnknownName(f"value of {where}", value, self.choices)
        return value

    def _within(self, value: float) -> bool:
        return (
            (isinstance(value, int) or math.isfinite(value))
            and (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
        )

    def _bounds(self) -> str:
        signs = (("≥", self.ge), (">", self.gt), ("≤", self.le), ("<", self.lt))
        return "".join(f" {sign} {bound:g}" for sign, bound in signs if bound is not None)


_KINDS: dict[type, str] = {
    int: "a whole number",
    float: "a finite number",
    str: "text",
    bool: "true or false",
}


@dataclass(frozen=True, slots=True)
class _Declaration:
    default: Value
    bounds: dict[str, Any]


def param(
    default: Value,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a parameter in the body of a strategy; the attribute's annotation is its type.

    Example:
        ``length: int = param(14, ge=2, le=200)``

    """
    return _Declaration(default, {"ge": ge, "gt": gt, "le": le, "lt": lt, "choices": choices})


def declared(owner: type) -> dict[str, Parameter]:
    """Give the parameters that a class and its bases declare, in the order of declaration.

    Raise `UserError` where one is declared without a type of int, float, str or bool, or with a default that
    its own bounds refuse.
    """
    parameters: dict[str, Parameter] = {}
    for base in reversed(owner.__mro__):
        for name, declaration in vars(base).items():
            if not isinstance(declaration, _Declaration):
                continue
            kind = get_type_hints(base).get(name)
            if kind not in _KINDS:
                raise UserError(f"{owner.__name__}: annotate parameter {name!r} with int, float, str or bool")
            one = Parameter(name, kind, declaration.default, **declaration.bounds)
            one.read(one.default, owner.__name__)
            parameters[name] = one
    return parameters


def read_all(parameters: Mapping[str, Parameter], values: object, owner: str) -> dict[str, Value]:
    """Give a value for every parameter: the one in ``values``, else the default.

    ``values`` is a mapping from outside. Raise `UnknownName` for a name that is not declared and `UserError`
    for a value that is refused.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{owner}: parameters must be a table of names and values, not {_shown(values)}")
    for name in values:
        if name not in parameters:
            raise UnknownName(f"parameter of {owner}", str(name), parameters)
    return {name: one.read(values.get(name, one.default), owner) for name, one in parameters.items()}


def _shown(value: object) -> str:
    # Python refuses to print integers of more than 4300 digits.
    if type(value) is int and abs(value) > 10**18:
        return "a number that large"
    return repr(value)[:60]
