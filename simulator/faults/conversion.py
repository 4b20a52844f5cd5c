"""Reading what a scenario says: values of a wrong kind are refused in words that name the place."""

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from core.errors import UnknownName, UserError

S = TypeVar("S", bound=Struct)

_ENUM = re.compile(r"Invalid enum value '?(.*?)'? - at `\$\.(\w+)")
_EXPECTED = re.compile(
    r"Expected `(\w+)[^`]*`(?: (of length )?([<>]=?) ([0-9.]+))?(?:, got `(\w+)`)?(?: - at `\$\.(\w+)(\[)?)?"
)
_KINDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "nothing",
    "object": "a table",
    "str": "a text in quotes",
}
_BOUNDS = {">": "above", ">=": "of at least", "<": "below", "<=": "of at most"}


def converted(values: dict[str, Any], kind: type[S], place: str) -> S:
    """Give the struct that values of TOML or JSON make; ``place`` is where they stand, as ``drop in step 1``.

    Raises `UnknownName` for a value that is none of those it has to be one of, `UserError` for one of a wrong kind.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind, place) from None


def kind_of(value: object) -> str:
    """Say what kind of value TOML or JSON gave."""
    kinds = {bool: "bool", int: "int", float: "float", str: "str", list: "array", dict: "object", type(None): "null"}
    return "true or false" if isinstance(value, bool) else _KINDS.get(kinds.get(type(value), ""), "something else")


def _explained(words: str, kind: type[Struct], place: str) -> UserError:
    if enum := _ENUM.match(words):
        return UnknownName(f"{enum[2]} of {place}", enum[1], _choices(kind, enum[2]))
    expected = _EXPECTED.match(words)
    if expected is None or expected[6] is None:
        return UserError(f"{place} cannot be read: {words}")
    wanted, length, relation, bound, got, key, item = expected.groups()
    what = f"an entry of {key}" if item else key
    if relation is None:
        return UserError(f"{place}: {what} has to be {_KINDS.get(wanted, wanted)}, not {_KINDS.get(got, got)}")
    number = bound.removesuffix(".0")
    if length:
        more = "at least" if relation == ">=" else "at most"
        return UserError(
            f"{place}: {what} has to have {more} {number} {'entries' if wanted == 'array' else 'letters'}"
        )
    return UserError(f"{place}: {what} has to be {_KINDS.get(wanted, wanted)} {_BOUNDS[relation]} {number}")


def _choices(kind: type[Struct], key: str) -> list[str]:
    info = msgspec.inspect.type_info(kind)
    fields = info.fields if isinstance(info, msgspec.inspect.StructType) else ()
    for field in fields:
        inner = field.type
        if isinstance(inner, msgspec.inspect.VarTupleType):
            inner = inner.item_type
        if field.encode_name == key and isinstance(inner, msgspec.inspect.LiteralType):
            return [str(value) for value in inner.values]
    return []
