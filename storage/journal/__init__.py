"""The journal: an append-only, seekable log per feed."""

from storage.journal.doorbell import Doorbell
from storage.journal.journal import Journal

__all__ = ["Doorbell", "Journal"]
