"""Queries of a user: run against the catalog, with failures said in the user's terms."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from core.errors import TidemillError, UserError
from core.settings import Settings
from storage.catalog import open_catalog
from storage.data_folder import lake_path
from storage.ledger.schema import pending
from storage.ledger.server import serve
from tidemill.folder import existing

_BATCH_ROWS = 10_000


class QueryError(TidemillError):
    """Report a query that the database refused; ``caret`` shows the place in it, where the database tells."""

    def __init__(self, text: str, caret: str = "") -> None:
        super().__init__(text)
        self.caret = caret


@contextmanager
def catalog(settings: Settings) -> Iterator[Any]:
    """Open the SQL catalog of an existing data folder; raise `UserError` where there is none, creating nothing."""
    folder = existing(settings.data)
    with serve(settings, folder) as address:
        if pending(address):
            raise UserError("the data folder has an older schema than this version: run `tidemill migrate`")
        connection = open_catalog(address, lake_path(settings, folder))
        try:
            yield connection
        finally:
            # A query that was stopped by a signal goes on in DuckDB's threads until it is told.
            connection.interrupt()
            connection.close()


def ask(connection: Any, query: str) -> pa.RecordBatchReader:
    """Run a query and stream its rows; raise `QueryError` where it cannot be answered."""
    with failures():
        reader: pa.RecordBatchReader = connection.execute(query).to_arrow_reader(_BATCH_ROWS)
        return reader


def rows(connection: Any, query: str) -> list[dict[str, Any]]:
    """Run a query of our own and give its rows."""
    with failures():
        return ask(connection, query).read_all().to_pylist()


@contextmanager
def failures() -> Iterator[None]:
    """Turn what the database raises, also while rows stream, into `QueryError`."""
    try:
        yield
    except (TidemillError, BrokenPipeError):
        raise
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt | SystemExit):
            # DuckDB wraps what a signal handler raised while a query ran.
            raise error.__cause__ from None
        # DuckDB's exceptions belong to storage; here only their text matters, whatever their class.
        raise _explained(str(error)) from error


_REFUSED_WRITES = (
    "is not an table",
    "Can only delete from base table",
    "Can only update base table",
    "attached in read-only mode",
)
"""How DuckDB refuses to change a view, or what is attached read-only."""

_INSTEAD = (
    "lake and ledger are read-only here. `tidemill replay` brings trades in; for results of your own, CREATE TABLE "
    "mine AS SELECT ... lives as long as this session, and COPY (SELECT ...) TO 'mine.parquet' writes a file"
)


def _explained(message: str) -> QueryError:
    text, _, place = message.partition("\n\nLINE ")
    line = " ".join(text.split())
    if any(words in line for words in _REFUSED_WRITES):
        return QueryError(_INSTEAD)
    if not place:
        return QueryError(line)
    return QueryError(line, "LINE " + place.rstrip())
