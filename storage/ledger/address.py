"""Where the ledger's server answers, and for whom."""

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from core.errors import UserError


@dataclass(frozen=True, slots=True)
class Address:
    """Name a PostgreSQL server, a user of it and the two databases of Tidemill.

    ``ledger_db`` holds the ledger, ``lake_db`` the catalog of the lake. ``options`` are further libpq
    keywords (``sslmode`` and the like). The password is in no representation, only in `conninfo`.
    """

    host: str
    port: int
    user: str
    password: SecretStr
    ledger_db: str = "tidemill"
    lake_db: str = "lake"
    options: tuple[tuple[str, str], ...] = ()

    def conninfo(self, database: str) -> str:
        """Give the libpq connection string for a database. It holds the password: never log it."""
        words = {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": self.password.get_secret_value(),
            "dbname": database,
            **dict(self.options),
        }
        return " ".join(f"{key}={_quoted(value)}" for key, value in words.items() if value)

    def in_database(self, ledger_db: str) -> "Address":
        """Give the same server and user with another database as the ledger."""
        return replace(self, ledger_db=ledger_db)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.ledger_db}"

    @classmethod
    def from_url(cls, url: SecretStr) -> "Address":
        """Read ``postgresql://user:password@host:port/database?option=value``.

        The catalog of the lake gets the database ``<database>_lake`` beside it. Raise `UserError` for
        anything else; the text never holds the URL, which holds the password.
        """
        try:
            parts = urlsplit(url.get_secret_value())
            port = parts.port or 5432
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        except ValueError:
            # The cause would show the URL.
            raise UserError(_UNREADABLE) from None
        database = unquote(parts.path.lstrip("/"))
        if parts.scheme not in ("postgresql", "postgres") or not parts.username or not database:
            raise UserError(_UNREADABLE)
        return cls(
            options.pop("host", parts.hostname or "localhost"),
            port,
            unquote(parts.username),
            SecretStr(unquote(parts.password or "")),
            database,
            f"{database}_lake",
            tuple(sorted(options.items())),
        )


_UNREADABLE = "setting 'ledger.url' cannot be read: write postgresql://user:password@host:port/database"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
