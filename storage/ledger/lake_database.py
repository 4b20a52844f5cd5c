"""The database of the lake's catalog, on a server of the user's own."""

import psycopg
from psycopg import sql

from core.errors import UserError
from storage.ledger.address import Address
from storage.ledger.connection import connect


def ensure_lake_database(address: Address) -> None:
    """Create ``address.lake_db`` beside the ledger's database where it is absent.

    Raise `UserError` where the server refuses, `TransientError` where it does not answer.
    """
    with connect(address, address.ledger_db) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [address.lake_db]).fetchone()
        if found is not None:
            return
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(address.lake_db)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            # Another process created it between the question and the order.
            return
        except psycopg.errors.InsufficientPrivilege:
            raise UserError(
                f"user {address.user!r} may not create the database {address.lake_db!r}: "
                "create it, or give the user CREATEDB"
            ) from None
