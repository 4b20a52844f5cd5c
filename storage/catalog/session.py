from dataclasses import replace

import duckdb

from storage.catalog.macros import MACROS
from storage.catalog.views import VIEWS
from storage.lake.errors import typed_errors
from storage.lake.session import attach_lake, bare, conninfo, quoted, session_statements
from storage.ledger.address import Address


def statements(address: Address, data_path: str) -> list[str]:
    """Give the statements that open the catalog in any DuckDB client of the same version, in order.

    They hold no password: set ``PGPASSWORD`` or use a password file of libpq; for ``s3://`` create a secret.
    """
    return [
        *session_statements(data_path),
        attach_lake(address, data_path, read_only=True),
        f"ATTACH {quoted(conninfo(_reading(address), address.ledger_db))} AS ledger (TYPE postgres, READ_ONLY)",
        *(f"CREATE OR REPLACE VIEW {view.name} AS {view.query}" for view in VIEWS),
        *(f"CREATE OR REPLACE MACRO {macro.signature} AS TABLE {macro.query}" for macro in MACROS),
    ]


def _reading(address: Address) -> Address:
    # DuckDB's READ_ONLY is a matter of the transaction that it began; this one is of every transaction.
    return replace(address, options=(*address.options, ("options", "-c default_transaction_read_only=on")))


def open_catalog(address: Address, data_path: str) -> duckdb.DuckDBPyConnection:
    """Open a session of its own with all views and macros; lake and ledger are attached read-only.

    Raises `UserError` where the server refuses the user or lake or ledger have not been created,
    `TransientError` where it does not answer.
    """
    connection = bare(address, data_path)
    try:
        with typed_errors(address.password.get_secret_value()):
            for statement in statements(address, data_path):
                connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection
