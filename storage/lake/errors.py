from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from core.errors import IntegrityError, TidemillError, TransientError, UserError

_UNREACHABLE = ("connect", "server closed", "terminating connection", "shutting down", "starting up", "ssl ")


class Conflict(TransientError):  # noqa: N818 - the field's own term
    """Report that another commit to the lake came first and that nothing was stored."""


@contextmanager
def typed_errors(secret: str = "") -> Iterator[None]:
    """Turn DuckDB's errors into those of `core.errors`, each on one line and without ``secret``.

    `TransientError` where the server is away, memory or disk is short, or another commit came first;
    `UserError` where the lake has not been created; `IntegrityError` for all that should never be.
    """
    try:
        yield
    except duckdb.Error as error:
        raise _typed(error, secret) from None


def _typed(error: duckdb.Error, secret: str) -> TidemillError:
    text = " ".join(str(error).split())
    if secret:
        text = text.replace(secret, "***")
    low = text.lower()
    if isinstance(error, duckdb.ParserException):
        # A parser quotes the statement, which may be the one with the password.
        return IntegrityError("the lake refused a statement: the text could not be parsed")
    if "password authentication failed" in low or ("role" in low and "does not exist" in low):
        return UserError(f"the lake's server refused the user or password: mend ledger.url ({_brief(text)})")
    if "transaction conflict" in low or "could not serialize" in low:
        return Conflict(f"another commit to the lake came first, nothing was stored: try again ({_brief(text)})")
    if any(word in low for word in _UNREACHABLE):
        return TransientError(f"the lake's server does not answer: is it running? ({_brief(text)})")
    if isinstance(error, duckdb.OutOfMemoryException) or "no space left" in low:
        return TransientError(f"memory or disk is short: free some and try again ({_brief(text)})")
    if isinstance(error, duckdb.CatalogException) or "creating a new ducklake is explicitly disabled" in low:
        return UserError(f"the lake lacks a table: run `tidemill migrate` ({_brief(text)})")
    return IntegrityError(f"the lake failed: {_brief(text)}")


def _brief(text: str) -> str:
    return text if len(text) <= 400 else text[:400] + "…"
