"""A DuckDB session with the lake attached.

The password travels in a DuckDB secret only: no statement, error text or representation holds it.
"""

import importlib.util
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import duckdb
from pydantic import SecretStr

from core.errors import UserError
from storage.lake.errors import typed_errors
from storage.ledger.address import Address

Session = duckdb.DuckDBPyConnection
"""A session with the lake attached, as `connect` opens it; others know it under this name."""

EXTENSIONS = ("ducklake", "postgres_scanner")


def connect(address: Address, data_path: str, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open a session of its own with the lake attached as ``lake``.

    ``data_path`` is a folder or ``s3://bucket/prefix`` (keys from the AWS environment variables). Raises
    `TransientError` where the catalog's server is away, `UserError` where it refuses the password.
    """
    connection = bare(address, data_path)
    with typed_errors(address.password.get_secret_value()):
        for statement in session_statements(data_path):
            connection.execute(statement)
        connection.execute(attach_lake(address, data_path, read_only=read_only))
        if not read_only:
            # Who writes runs for weeks, and reads each file about once: keeping them would fill the memory.
            connection.execute("SET enable_external_file_cache = false")
    return connection


def bare(address: Address, data_path: str) -> duckdb.DuckDBPyConnection:
    """Open a session that knows the passwords and has nothing attached."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # The wheels are locked by hash; checking their signatures again costs 0.16 s a session.
            "allow_unsigned_extensions": "true",
            "temp_directory": str(Path(tempfile.gettempdir()) / f"tidemill-spill-{os.getpid()}"),
        }
    )
    password = address.password.get_secret_value()
    with typed_errors(password):
        connection.execute(f"LOAD {quoted(extension('postgres_scanner'))}")
        connection.execute(f"CREATE SECRET (TYPE postgres, PASSWORD {quoted(password)})")
        if is_remote(data_path):
            connection.execute(f"LOAD {quoted(extension('httpfs'))}")
            connection.execute(_s3_secret())
    return connection


def session_statements(data_path: str) -> list[str]:
    """Give the statements that prepare a DuckDB session for `attach_lake`."""
    names = (*EXTENSIONS, "httpfs") if is_remote(data_path) else EXTENSIONS
    return [*(f"LOAD {quoted(extension(name))}" for name in names), "SET GLOBAL TimeZone = 'UTC'"]


def attach_lake(address: Address, data_path: str, *, read_only: bool) -> str:
    """Give the statement that attaches the lake, without the password.

    A data folder that was moved is attached where it is now.
    """
    mode = ", READ_ONLY" if read_only else ""
    source = quoted(f"ducklake:postgres:{conninfo(address, address.lake_db)}")
    return f"ATTACH {source} AS lake (DATA_PATH {quoted(data_path)}, OVERRIDE_DATA_PATH true{mode})"


def conninfo(address: Address, database: str) -> str:
    """Give the libpq connection string for a database, without the password."""
    return replace(address, password=SecretStr("")).conninfo(database)


def extension(name: str) -> str:
    """Give the path of a DuckDB extension inside its wheel; raise `UserError` where it is not installed."""
    package = importlib.util.find_spec(f"duckdb_extension_{name}")
    if package is not None and package.origin is not None:
        folder = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}"
        path = folder / f"{name}.duckdb_extension"
        if path.exists():
            return str(path)
    wanted = f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
    raise UserError(f"DuckDB's extension {name} is missing: install the package {wanted}")


def is_remote(data_path: str) -> bool:
    """Tell an object store's address from a folder."""
    return "://" in data_path


def quoted(text: str) -> str:
    """Give a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _s3_secret() -> str:
    names = {
        "KEY_ID": "AWS_ACCESS_KEY_ID",
        "SECRET": "AWS_SECRET_ACCESS_KEY",
        "SESSION_TOKEN": "AWS_SESSION_TOKEN",
        "REGION": "AWS_REGION",
        "ENDPOINT": "AWS_ENDPOINT_URL_S3",
    }
    given = {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}
    if "ENDPOINT" in given:
        scheme, _, host = given["ENDPOINT"].rpartition("://")
        given |= {"ENDPOINT": host, "URL_STYLE": "path", "USE_SSL": str(scheme != "http").lower()}
    return f"CREATE SECRET (TYPE s3{''.join(f', {key} {quoted(value)}' for key, value in given.items())})"
