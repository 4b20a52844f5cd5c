"""The interactive prompt of `tidemill sql`."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import PostgresLexer  # type: ignore[import-untyped]

from storage.catalog import Relation, describe
from tidemill.query import QueryError, ask, failures
from tidemill.results import write_table
from tidemill.tables import table, text

_HELP = """\
A statement ends with ; and may take many lines. Ctrl-C drops what was typed, Ctrl-D leaves.
  .tables          the views and macros
  .schema [NAME]   the columns of one of them, or of all
  .help            this text
  .quit            leave
"""


def converse(connection: Any, history: Path) -> None:
    """Read statements and answer them until the user leaves; what was typed is kept in ``history``."""
    relations = describe()
    words = {w for r in relations for w in (r.name.split("(")[0], *(column.name for column in r.columns))}
    session: PromptSession[str] = PromptSession(
        "tidemill> ",
        history=_history(history),
        lexer=PygmentsLexer(PostgresLexer),
        completer=WordCompleter(sorted(words), ignore_case=True),
        complete_while_typing=False,
        multiline=True,
        prompt_continuation="     ...  ",
        key_bindings=_bindings(),
    )
    sys.stdout.write("Tidemill SQL (DuckDB). .help for help, .quit to leave.\n")
    while True:
        try:
            typed = session.prompt().strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if typed in (".quit", ".exit"):
            return
        if typed.startswith("."):
            sys.stdout.write(command(typed, relations))
        elif typed.strip(";"):
            answer(connection, typed)


def command(typed: str, relations: Sequence[Relation]) -> str:
    """Give the answer to a line that begins with a dot."""
    name, _, argument = typed.rstrip("; ").partition(" ")
    if name == ".tables":
        return table(("name", "what it holds"), [(r.name, r.comment) for r in relations]) + "\n"
    if name == ".schema":
        wanted = argument.strip()
        chosen = [r for r in relations if wanted in ("", r.name, r.name.split("(")[0])]
        if not chosen:
            return f"there is no view or macro {text(wanted)}: .tables lists them\n"
        return "\n".join(map(_schema, chosen))
    return _HELP if name == ".help" else f"unknown command {text(name)}: .help lists them\n"


def _schema(relation: Relation) -> str:
    columns = [(column.name, column.type, column.comment) for column in relation.columns]
    return f"{relation.name}: {relation.comment}\n{table(('column', 'type', 'meaning'), columns)}\n"


def answer(connection: Any, query: str) -> None:
    """Run one statement and draw its rows, or say why it failed."""
    began = time.perf_counter()
    try:
        with failures():
            write_table(ask(connection, query), sys.stdout)
    except QueryError as error:
        sys.stdout.write(f"{error.caret}\n{error}\n" if error.caret else f"{error}\n")
    except KeyboardInterrupt:
        connection.interrupt()
        sys.stdout.write("stopped\n")
    else:
        sys.stdout.write(f"{time.perf_counter() - began:.3f} s\n")


def complete(typed: str) -> bool:
    """Say whether Enter ends what was typed: a statement with its semicolon, a dot command, nothing."""
    line = typed.strip()
    return not line or line.startswith(".") or line.endswith(";")


def _history(path: Path) -> FileHistory:
    path.touch(mode=0o600)
    return FileHistory(str(path))


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if complete(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return bindings
