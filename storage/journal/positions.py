"""How far each consumer of a feed has come: one small file each, replaced atomically."""

from core.errors import IntegrityError
from storage.journal.disk import make_folder, replace_durably
from storage.journal.folder import FeedFolder, checked


def store(folder: FeedFolder, consumer: str, offset: int) -> None:
    """Store that everything up to ``offset`` is covered by a persisted snapshot of ``consumer``."""
    checked("consumer", consumer)
    make_folder(folder.consumers)
    replace_durably(folder.consumers / consumer, b"%d\n" % offset)


def load(folder: FeedFolder) -> dict[str, int]:
    """Give the position of each consumer; raise `IntegrityError` for a file that holds no offset."""
    try:
        files = sorted(entry for entry in folder.consumers.iterdir() if not entry.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    positions = {}
    for file in files:
        text = file.read_bytes()
        try:
            positions[file.name] = int(text)
        except ValueError:
            raise IntegrityError(
                f"{file} holds no offset; remove it if the consumer {file.name!r} is no more"
            ) from None
    return positions
