"""tidemill sql: the lake and the ledger behind one prompt."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow as pa
import typer

from core.errors import UnknownName, UserError
from storage.catalog import describe, statements
from storage.data_folder import lake_path
from storage.ledger.server import serve
from tidemill.commands.table import load
from tidemill.configuration import configured
from tidemill.folder import existing
from tidemill.query import QueryError, ask, catalog, failures
from tidemill.results import Format, write_csv, write_json, write_parquet, write_table


def sql(
    ctx: typer.Context,
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="Statements of DuckDB's SQL.")] = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Default: table on a terminal, csv elsewhere.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write the rows to this file.")] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Print the statements that open the same session in any DuckDB client.")
    ] = False,
) -> None:
    """Ask the lake and the ledger in SQL.

    Without QUERY: a prompt on a terminal, else the query is read from stdin. Views: trades, candles (every
    timeframe), signals, runs, gaps, coverage and more; `.tables` lists them, `.schema NAME` their columns, at the
    prompt and as QUERY. Lake and ledger are attached read-only; files can be read and written as in any DuckDB. A
    table shows the first 500 rows, the other formats write all.

    Example: tidemill sql "FROM candles WHERE timeframe = '5m' ORDER BY start DESC LIMIT 5"
    """
    settings = configured(ctx)
    if query is not None and query.strip().startswith("."):
        sys.stdout.write(_described(query.strip()))
        return
    if init:
        folder = existing(settings.data)
        with serve(settings, folder) as address:
            sys.stdout.write(_INIT.format(version=version("duckdb"), password=folder.ledger / "password"))
            sys.stdout.write("".join(f"{s.rstrip(';')};\n" for s in statements(address, lake_path(settings, folder))))
        return
    form = form or _default_format(output)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise UserError("Parquet is binary: name a file with --output, or send stdout to one")
    if query is None and not sys.stdin.isatty():
        query = sys.stdin.read()
    if query is not None and not query.strip().rstrip(";"):
        raise UserError('the query is empty: tidemill sql "SELECT ..."')
    with catalog(settings) as connection:
        if query is None:
            load("tidemill.prompt").converse(connection, settings.data / "sql_history")
            return
        _answer(connection, query, form, output)


_DESCRIBING = (".tables", ".schema", ".help")

_INIT = """\
-- For DuckDB {version} on this machine. An embedded server runs while somebody uses it: keep `tidemill sql` open.
-- The statements hold no password: export PGPASSWORD="$(cat {password})"
"""


def _described(typed: str) -> str:
    name = typed.rstrip("; ").partition(" ")[0]
    if name not in _DESCRIBING:
        raise UnknownName("command", name, _DESCRIBING)
    answer: str = load("tidemill.prompt").command(typed, describe())
    return answer


def _answer(connection: Any, query: str, form: Format, output: Path | None) -> None:
    try:
        reader = ask(connection, query)
        with failures():
            _write(reader, form, output)
    except QueryError as error:
        if error.caret:
            sys.stderr.write(error.caret + "\n")
        raise


def _write(reader: pa.RecordBatchReader, form: Format, output: Path | None) -> None:
    if form == "parquet":
        write_parquet(reader, output or sys.stdout.buffer)
    elif output is None:
        _write_text(reader, form, sys.stdout)
    else:
        with output.open("w", encoding="utf-8", newline="") as out:
            _write_text(reader, form, out)


def _write_text(reader: pa.RecordBatchReader, form: Format, out: TextIO) -> None:
    write = {"table": write_table, "csv": write_csv, "json": write_json}[form]
    write(reader, out)


def _default_format(output: Path | None) -> Format:
    if output is not None:
        return "parquet" if output.suffix == ".parquet" else "json" if output.suffix == ".json" else "csv"
    return "table" if sys.stdout.isatty() else "csv"
