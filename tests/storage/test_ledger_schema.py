import os
import signal
import subprocess
import sys
import threading
import time

import psycopg
import pytest
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from core.errors import Busy, UserError
from core.settings import LedgerSettings, Settings
from storage.data_folder import DataFolder
from storage.ledger import migration
from storage.ledger.ledger import Ledger
from storage.ledger.schema import MIGRATIONS, migrate, pending, revisions
from storage.ledger.server import serve

MIGRATE = """
import sys
from pydantic import SecretStr
from storage.ledger.address import Address
from storage.ledger.schema import migrate
print(migrate(Address.from_url(SecretStr(sys.stdin.readline().strip()))))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serve(Settings(ledger=LedgerSettings()), DataFolder(tmp_path_factory.mktemp("schema") / "data")) as address:
        yield address


@pytest.fixture
def address(server):
    """An empty database of its own for every test."""
    name = f"ledger_{time.monotonic_ns()}"
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.in_database(name)


def query(address, statement):
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        return connection.execute(statement).fetchall()


def tables(address):
    return {name for (name,) in query(address, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def up_to(address, revision):
    """Migrate as the version did whose last revision this is."""
    script = ScriptDirectory(MIGRATIONS)
    where = address.password.get_secret_value(), address.host, address.port, address.ledger_db
    engine = create_engine(URL.create("postgresql+psycopg", address.user, *where), poolclass=NullPool)
    steps = {"fn": lambda at, _: script._upgrade_revs(revision, at)}
    with engine.connect() as connection, EnvironmentContext(Config(), script, **steps) as environment:
        environment.configure(connection=connection)
        with environment.begin_transaction():
            environment.run_migrations()
        connection.commit()
    engine.dispose()


def migrating(address):
    process = subprocess.Popen(
        [sys.executable, "-c", MIGRATE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    secret = address.password.get_secret_value()
    process.stdin.write(f"postgresql://{address.user}:{secret}@{address.host}:{address.port}/{address.ledger_db}\n")
    process.stdin.flush()
    return process


def test_migrating_applies_what_is_pending_once_and_it_is_there_for_others(address):
    assert pending(address) == revisions() != []
    assert migrate(address) == revisions()
    assert pending(address) == []
    assert migrate(address) == []
    # Read by another connection: alembic once ended well with nothing committed.
    assert query(address, "SELECT version_num FROM alembic_version") == [(revisions()[-1],)]
    assert {"gaps", "coverage", "signals", "runs", "quarantine", "feeds", "instruments"} <= tables(address)


def test_every_table_and_column_is_described(address):
    migrate(address)
    bare = query(
        address,
        """
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> 'alembic_version'
          AND a.attnum > 0 AND NOT a.attisdropped
          AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)
        """,
    )
    assert bare == []


def test_a_ledger_of_a_newer_version_is_refused(address):
    migrate(address)
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for call in (pending, migrate):
        with pytest.raises(UserError, match="newer Tidemill"):
            call(address)
    assert query(address, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_gaps_that_were_filled_after_they_were_given_up_are_repaired_by_migrating(address):
    found = "instrument, id_space, first_id, last_id, after_ts, before_ts, missing, cause, state"
    up_to(address, "0003")
    with psycopg.connect(address.conninfo(address.ledger_db)) as connection:
        for first, missing, state in ((1, 0, "unfillable"), (3, 2, "unfillable"), (5, 0, "repaired"), (7, 1, "open")):
            connection.execute(
                f"INSERT INTO gaps ({found}) VALUES ('binance:BTC-USDT', 'trade', %s, %s, now(), now(), %s, '', %s)",
                [first, first + 1, missing, state],
            )
    assert migrate(address) == [revision for revision in revisions() if revision > "0003"]
    assert query(address, "SELECT first_id, missing, state FROM gaps ORDER BY 1") == [
        (1, 0, "repaired"),
        (3, 2, "unfillable"),
        (5, 0, "repaired"),
        (7, 1, "open"),
    ]


def test_two_at_once_apply_it_once(address):
    both = [migrating(address) for _ in range(2)]
    answers = sorted(process.communicate()[0].strip() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert answers == sorted(["[]", str(revisions())])
    assert pending(address) == []


def test_a_migration_killed_in_the_middle_leaves_nothing_and_the_next_one_does_it_all(address):
    with psycopg.connect(address.conninfo(address.ledger_db)) as blocker:
        # The name is taken, so that the migration stops and waits inside its transaction.
        blocker.execute("CREATE TABLE quarantine ()")
        process = migrating(address)
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%TABLE quarantine%'"
        while not query(address, waiting):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        blocker.rollback()
    assert migrate(address) == revisions()
    assert pending(address) == []


def test_a_lock_that_is_held_too_long_is_busy(address, monkeypatch):
    monkeypatch.setattr(migration, "_WAIT", "100ms")
    with psycopg.connect(address.conninfo(address.ledger_db), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [migration._LOCK])
        with pytest.raises(Busy, match="another process"):
            migrate(address)
    assert tables(address) == set()


def test_a_waiting_migration_goes_on_when_the_lock_is_free(address):
    with psycopg.connect(address.conninfo(address.ledger_db), autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [migration._LOCK])
        applied: list[str] = []
        waiter = threading.Thread(target=lambda: applied.extend(migrate(address)))
        waiter.start()
        while not query(address, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
            time.sleep(0.01)
    waiter.join()
    assert applied == revisions()


def test_a_ledger_without_tables_says_what_to_do(address):
    with Ledger(address) as ledger, pytest.raises(UserError, match="tidemill migrate"):
        ledger.feeds()
