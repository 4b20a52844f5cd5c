"""The data folder as commands find it."""

from pathlib import Path

from core.errors import UserError
from core.settings import Settings
from storage.data_folder import DataFolder


def existing(path: Path) -> DataFolder:
    """Give the data folder at a path; raise `UserError` where there is none yet, and create nothing."""
    folder = DataFolder(path)
    if not folder.exists:
        raise UserError(
            f"there is no data in {path} yet: run `tidemill up` or `tidemill replay` first, or name --data"
        )
    return folder


def lake_path(settings: Settings, folder: DataFolder) -> str:
    """Give where the lake's data files are."""
    return settings.lake.path or str(folder.lake.resolve())
