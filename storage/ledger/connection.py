"""Connections to the ledger, with its errors as Tidemill's."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from core.errors import IntegrityError, TransientError, UserError
from storage.ledger.address import Address

Connection = psycopg.Connection[tuple[object, ...]]

_CONNECT_SECONDS = 10


def connect(address: Address, database: str) -> psycopg.Connection:
    """Open a connection in autocommit mode, its session in UTC.

    Raise `UserError` where the server refuses the user or the database, `TransientError` where it does not
    answer. Neither holds the password.
    """
    try:
        return psycopg.connect(
            address.conninfo(database),
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            application_name=f"tidemill {os.getpid()}",
            options="-c timezone=UTC",
        )
    except psycopg.OperationalError as error:
        text = _line(error)
        if "authentication" in text or "does not exist" in text or "pg_hba" in text:
            raise UserError(
                f"the ledger's server {address} refuses us: {text}; mend the setting 'ledger.url'"
            ) from None
        raise TransientError(f"the ledger's server {address} cannot be reached: {text}") from None


@contextmanager
def typed_errors(address: Address) -> Iterator[None]:
    """Turn psycopg's errors inside the context into those of `core.errors`."""
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        raise UserError(f"the ledger {address} lacks a table: run 'tidemill migrate'") from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise UserError(f"the ledger {address} refuses user {address.user!r}: {_line(error)}") from None
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise TransientError(f"the ledger {address} failed us: {_line(error)}") from None
    except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException) as error:
        raise IntegrityError(f"the ledger {address} refuses this: {_line(error)}") from None
    except OverflowError as error:
        raise IntegrityError(f"the ledger {address} cannot hold this number or time: {error}") from None


def _line(error: psycopg.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
