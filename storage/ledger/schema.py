"""The state of the ledger's schema, read without loading the library that changes it."""

import importlib
from pathlib import Path

import psycopg

from core.errors import UserError
from storage.ledger.address import Address
from storage.ledger.connection import connect, typed_errors

MIGRATIONS = Path(__file__).resolve().parent / "migrations"


def revisions() -> list[str]:
    """Give the ids of all revisions that this version knows, in order (``r0001_ledger.py`` is ``0001``)."""
    return sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("r[0-9][0-9][0-9][0-9]_*.py"))


def pending(address: Address) -> list[str]:
    """Give the revisions that the ledger still lacks, in order.

    Raise `UserError` for a ledger that a newer Tidemill has migrated.
    """
    known = revisions()
    with connect(address, address.ledger_db) as connection, typed_errors(address):
        try:
            found = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        except psycopg.errors.UndefinedTable:
            return known
    unknown = [version for (version,) in found if version not in known]
    if unknown:
        raise UserError(
            f"the ledger {address} was written by a newer Tidemill (revision {unknown[0]}, this one knows "
            f"{known[-1]}): upgrade Tidemill"
        )
    return known[known.index(found[0][0]) + 1 :] if found else known


def migrate(address: Address) -> list[str]:
    """Apply what is pending and give the ids of the revisions that were applied here.

    Each revision is one transaction, all are under a lock: of several callers at once one applies, the others
    wait and apply nothing. Raise `Busy` when the wait is too long, `UserError` as `pending` does.
    """
    if not pending(address):
        return []
    # The library costs half a second to load, and nearly always there is nothing to do.
    module = importlib.import_module("storage.ledger.migration")
    applied: list[str] = module.upgrade(address)
    return applied
