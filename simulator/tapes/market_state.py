"""The state of an invented market: what it is, when it was closed, and how far it has come."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.errors import IntegrityError, UserError
from simulator.listing import Listing
from simulator.tapes.block_log import explained
from storage.journal.disk import replace_durably


class MarketState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hold all that a market is drawn from, and its history as a venue; times are µs since the epoch, UTC.

    ``listings`` describe the instruments; ``length`` is that of a block. ``closed`` names blocks before which the
    market was closed, and the time at which each begins. The first ``drawn`` blocks have been drawn: somebody may
    know their trades.
    """

    seed: int
    start: int
    length: int
    listings: tuple[str, ...]
    closed: tuple[tuple[int, int], ...] = ()
    drawn: int = 0

    @property
    def market(self) -> bytes:
        """Give what makes the market this one and no other."""
        return msgspec.json.encode((self.seed, self.start, self.length, self.listings))

    def begin(self, block: int) -> int:
        """Give the time at which a block begins."""
        since, start = max(((n, at) for n, at in self.closed if n <= block), default=(0, self.start))
        return start + (block - since) * self.length


def described(listing: Listing) -> str:
    """Describe a listing in one line: another line is another market."""
    one = listing.instrument
    numbers = (listing.price, listing.rate, listing.volatility, listing.beta, listing.notional, listing.first_id)
    return " ".join((one.name, one.native, *map(str, (one.tick, one.lot)), *map(repr, numbers)))


def read(path: Path) -> MarketState | None:
    """Read the state, None where there is none; raise `IntegrityError` where the file is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=MarketState)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise IntegrityError(f"{path} is damaged: restore it, or name another data folder") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give this user the right to") from None


def write(path: Path, state: MarketState) -> None:
    """Replace the state durably; raise as `simulator.tapes.block_log` does."""
    try:
        replace_durably(path, msgspec.json.format(msgspec.json.encode(state), indent=1))
    except OSError as error:
        raise explained(error, path) from None


def refuse_another(state: MarketState, seed: int, listings: Sequence[str], length: int, folder: Path) -> None:
    """Raise `UserError` where the market asked for is not the one that the folder remembers."""
    if state.seed != seed:
        raise UserError(
            f"{folder} remembers the invented market of seed {state.seed}, not {seed}: "
            "set that seed again, or name another data folder"
        )
    if (state.listings, state.length) != (tuple(listings), length):
        raise UserError(
            f"{folder} remembers an invented market of other instruments or another rate: name another data folder"
        )
