from dataclasses import dataclass
from typing import Literal

from storage.catalog.macros import MACROS
from storage.catalog.views import VIEWS


@dataclass(frozen=True, slots=True)
class Column:
    """Describe a column: its DuckDB type, and its meaning with unit and sign."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class Relation:
    """Describe a view, or a macro by its signature, and its columns in order."""

    kind: Literal["view", "macro"]
    name: str
    comment: str
    columns: tuple[Column, ...]


def describe() -> tuple[Relation, ...]:
    """Give every view and macro of the catalog. All times are UTC."""
    views = (Relation("view", v.name, v.comment, tuple(Column(*c) for c in v.columns)) for v in VIEWS)
    macros = (Relation("macro", m.signature, m.comment, tuple(Column(*c) for c in m.columns)) for m in MACROS)
    return (*views, *macros)
