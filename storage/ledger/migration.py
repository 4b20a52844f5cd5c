"""Changing the ledger's schema: alembic over plain SQL revisions.

A revision is a file ``migrations/versions/rNNNN_what.py`` with ``revision``, ``down_revision`` and
``upgrade()``. There is no way down: a restored backup is.
"""

from typing import Any

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, create_engine, exc, text
from sqlalchemy.pool import NullPool

from core.errors import Busy, IntegrityError, TransientError, UserError
from storage.ledger.address import Address
from storage.ledger.schema import MIGRATIONS

_LOCK = 0x7469_6465_6D69_6C6C
_WAIT = "60s"


def upgrade(address: Address) -> list[str]:
    """Apply every pending revision, each in a transaction of its own, and give their ids in order.

    Raise `Busy` when another process holds the schema's lock (or a table) for more than a minute,
    `TransientError` when the server is lost, `UserError` where the user may not create tables,
    `IntegrityError` where a revision does not fit what is stored.
    """
    options = f"-c timezone=UTC -c lock_timeout={_WAIT} -c application_name=tidemill-migrate"
    url = URL.create(
        "postgresql+psycopg",
        address.user,
        address.password.get_secret_value(),
        address.host,
        address.port,
        address.ledger_db,
        {**dict(address.options), "options": options},
    )
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            # The SELECT has begun a transaction, which alembic would take for its caller's and never commit.
            connection.commit()
            return _run(connection)
    except exc.DBAPIError as error:
        raise _typed(address, error.orig) from None
    finally:
        engine.dispose()


def _run(connection: Any) -> list[str]:
    script = ScriptDirectory(MIGRATIONS)
    applied: list[str] = []

    def note(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
        applied.append(step.up_revision_id)

    def steps(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, transaction_per_migration=True, on_version_apply=note)
        with environment.begin_transaction():
            environment.run_migrations()
    return applied


def _typed(address: Address, error: BaseException | None) -> Exception:
    line = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return Busy(f"another process has been changing the ledger {address} for {_WAIT}: wait for it, or stop it")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UserError(f"user {address.user!r} may not change the schema of {address}: {line}")
    if isinstance(error, psycopg.OperationalError):
        return TransientError(f"the ledger {address} failed us during a migration: {line}")
    return IntegrityError(f"a migration does not fit the ledger {address}: {line}")
