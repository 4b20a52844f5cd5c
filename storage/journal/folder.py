"""Where a feed's files are: ``<root>/<feed>/<first offset, 20 digits>.seg`` and what stands beside them."""

import re
from pathlib import Path

from core.errors import UserError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SEGMENT = re.compile(r"[0-9]{20}\.seg")


def checked(what: str, name: str) -> str:
    """Give ``name`` if it may become a path; raise `UserError` otherwise."""
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{what} name {name[:80]!r} cannot be used: at most 64 of a-z 0-9 . _ -, beginning with a letter or digit"
        )
    return name


class FeedFolder:
    """Name the files of one feed; nothing is created here."""

    def __init__(self, root: Path, feed: str) -> None:
        self.feed = checked("feed", feed)
        self.path = root / feed
        self.lease = self.path / "writer"
        self.consumers = self.path / "consumers"
        self.doorbells = self.path / "doorbells"
        self.preparing = self.path / "next.tmp"

    def segment(self, first_offset: int) -> Path:
        """Give the path of the segment that begins with ``first_offset``."""
        return self.path / f"{first_offset:020d}.seg"

    def first_offsets(self) -> list[int]:
        """Give the first offset of each segment, ascending."""
        try:
            names = [entry.name for entry in self.path.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(name[:20]) for name in names if _SEGMENT.fullmatch(name))
