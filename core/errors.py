"""The errors of Tidemill, sorted by what the operator does next.

TidemillError
├── UserError        your input or your settings: the text says which and how to mend it
│   └── UnknownName  a name that is not known here, with the nearest known one
├── TransientError   we retry, within the stated budget
│   └── JournalFull  nothing consumed is left to drop
├── VenueError       the exchange refused, banned us, or is in maintenance
│   └── MalformedFrame   what came from outside cannot be read; nothing is guessed
├── IntegrityError   stored data contradicts itself: stop, never guess
└── Refused          risk or permission said no
    └── Busy         another process holds it
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TidemillError(Exception):
    """Base of every error that Tidemill raises on purpose."""


class UserError(TidemillError):
    """Report input or settings that the user can mend."""


class UnknownName(UserError):  # noqa: N818 - reads as a noun wherever it is raised
    """Report a name that is not known, with the nearest known names.

    Example:
        >>> str(UnknownName("timeframe", "5min", ["1m", "5m"]))
        "unknown timeframe '5min': did you mean '5m'? Known: 1m, 5m"
    """

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = list(known)
        near = get_close_matches(name.lower(), [n.lower() for n in names], n=1, cutoff=0.5)
        nearest = next((n for n in names if near and n.lower() == near[0]), None)
        hint = f": did you mean {nearest!r}?" if nearest else "."
        listed = f" Known: {', '.join(names)}" if len(names) <= 40 else f" {len(names)} names are known."
        super().__init__(f"unknown {what} {name[:80]!r}{hint}{listed if names else ''}")
        self.nearest = nearest


class TransientError(TidemillError):
    """Report a failure that is expected to pass and is retried."""


class JournalFull(TransientError):  # noqa: N818 - the field's own term
    """Report that the journal has reached its bound and holds nothing consumed."""


class VenueError(TidemillError):
    """Report that an exchange refused or failed."""


class MalformedFrame(VenueError):  # noqa: N818 - the contract's own term
    """Report a frame, or a value in it, that cannot be read as the venue's protocol."""


class IntegrityError(TidemillError):
    """Report stored data that contradicts itself."""


class Refused(TidemillError):  # noqa: N818 - reads as a verdict
    """Report that a rule or a permission forbids what was asked."""


class Busy(Refused):
    """Report that another process holds what was asked for."""
