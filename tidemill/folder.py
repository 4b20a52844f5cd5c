"""The data folder as commands find it."""

from pathlib import Path

from core.errors import UserError
from storage.data_folder import DataFolder


def existing(path: Path) -> DataFolder:
    """Give the data folder at a path; raise `UserError` where there is none yet, and create nothing."""
    folder = DataFolder(path)
    if not folder.exists:
        raise UserError(
            f"there is no data in {path} yet: run `tidemill up` or `tidemill replay` first, or name --data"
        )
    return folder
