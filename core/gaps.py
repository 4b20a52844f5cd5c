"""What is known about the completeness of an instrument's trades: covered ranges and gaps."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Coverage:
    """Say that every trade id from ``first_id`` to ``last_id`` has been received.

    In the id space ``execution`` the ids are event times: every trade of that stretch has been received.

    ``first_ts`` and ``last_ts`` are the event times of the range's two ends (µs since the epoch, UTC).
    """

    instrument: str
    id_space: str
    first_id: int
    last_id: int
    first_ts: int
    last_ts: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Say that the trade ids ``first_id`` to ``last_id`` were missing when event time had passed them.

    ``after_ts`` and ``before_ts`` are the event times of the trades on either side (µs since the epoch, UTC):
    what is missing lies in [after_ts, before_ts]. ``missing`` counts the ids that still are; it only falls.
    In the id space ``execution`` the ids are event times: a stretch in which trades may be missing, which that
    venue's ids cannot tell. ``unfillable``: the venue was asked and has no more of it.
    """

    instrument: str
    id_space: str
    first_id: int
    last_id: int
    after_ts: int
    before_ts: int
    missing: int
    cause: str = "missing_ids"
    unfillable: bool = False

    @property
    def state(self) -> Literal["open", "repaired", "unfillable"]:
        """Give the state: repaired where nothing is missing any more."""
        if self.missing == 0:
            return "repaired"
        return "unfillable" if self.unfillable else "open"


@dataclass(frozen=True, slots=True)
class DirtyMinute:
    """Say that the candles of a minute must be folded again from the trades.

    ``minute`` is its start (µs since the epoch, UTC). ``feed`` and ``offset`` name the journal record that
    made it so: it may be folded once the lake has committed that feed up to that offset. Other authors than
    the dataflow leave ``feed`` empty: their trades are in the lake before they say so.
    """

    instrument: str
    minute: int
    feed: str
    offset: int
    reason: Literal["late_trade", "repaired", "proven"]
