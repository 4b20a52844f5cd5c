"""What the fast JSON decoder lets pass: a name that stands twice in one object."""

import json
from typing import Any

from core.errors import MalformedFrame


def refuse_repeated_names(text: str) -> None:
    """Raise `MalformedFrame` where an object names a member twice: which one counts would be a guess.

    ``text`` is JSON that another decoder has read; what this one cannot read raises `ValueError` or
    `RecursionError`.
    """
    _DECODER.decode(text)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedFrame(f"member {twice[:40]!r} stands twice in one object")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)
