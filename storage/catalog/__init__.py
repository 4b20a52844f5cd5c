"""What SQL sees: one DuckDB session over lake and ledger, with short names for both."""

from storage.catalog.description import Column, Relation, describe
from storage.catalog.session import open_catalog, statements

__all__ = ["Column", "Relation", "describe", "open_catalog", "statements"]
