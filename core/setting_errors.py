"""Refused settings in the user's words: which setting, where it was written, what to write instead."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from core.errors import UnknownName

_WHOLE, _NUMBER, _TEXT = "write a whole number", "write a number", 'write a text, as in "..."'
_TABLE = "write a table of settings, as in {{ name = value }}"
_WORDS = {
    "missing": "is missing: write it",
    "tuple_type": "write a list, as in [...]",
    "list_type": "write a list, as in [...]",
    "too_short": "write at least {min_length} of them",
    "too_long": "write at most {max_length} of them",
    "path_type": 'write a path, as in "folder/name"',
    "string_type": _TEXT,
    "string_sub_type": _TEXT,
    "string_pattern_mismatch": "write lower-case letters, digits, '.', '_' and '-' only, a letter or digit first, "
    "64 at most",
    "model_type": _TABLE,
    "model_attributes_type": _TABLE,
    "dict_type": _TABLE,
    "literal_error": "write {expected}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "write a smaller whole number",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": "write true or false",
    "bool_parsing": "write true or false",
    "greater_than": "write more than {gt}",
    "greater_than_equal": "write {ge} or more",
    "less_than": "write less than {lt}",
    "less_than_equal": "write {le} or less",
}


def explained(error: ValidationError, root: type[BaseModel], path: Path) -> str:
    """Say in a line what is wrong with the settings of ``root``; values are not told, one may be a secret.

    A name that is not known goes before all else: what it was meant to be is missing because of it.
    """
    errors = error.errors(include_url=False, include_input=False)
    unknown = [one for one in errors if one["type"] == "extra_forbidden"]
    first = (unknown or errors)[0]
    where = ".".join(map(str, first["loc"]))
    if unknown:
        parent = [part for part in first["loc"][:-1] if isinstance(part, str)]
        return f"{path}: {UnknownName('setting', where, _names(root, parent))}"
    words = _WORDS.get(first["type"])
    said = words.format_map(_Plain(first.get("ctx", {}))) if words else first["msg"].removeprefix("Value error, ")
    return f"{path} or environment: setting {where!r}: {said}"


class _Plain(dict[str, Any]):
    """Bounds as people write them: 600, not 600.0."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        super().__init__({k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()})


def _names(root: type[BaseModel], parent: list[str]) -> list[str]:
    section = root
    for name in parent:
        found = _section(section.model_fields[name].annotation)
        if found is None:
            return []
        section = found
    return ["".join(f"{part}." for part in parent) + name for name in section.model_fields]


def _section(kind: Any) -> type[BaseModel] | None:
    """Find the section that an annotation is of: itself, or a list of them."""
    return next(
        (one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, BaseModel)), None
    )
