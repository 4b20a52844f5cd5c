"""The continuity fold where ids do not chain: which stretches of time were listened to without a break.

Ids of such venues tell trades apart and prove nothing (exchanges.md, table 0.2). What proves is the connection:
between two trades that one unbroken connection brought, nothing is missing. A connection that was lost, fell silent
or began anew leaves a stretch unproven, until the venue was asked again and what it has was taken (`Reread`).
Ranges, holes and gaps are those of `core.continuity`, with event times (µs since the epoch, UTC) in the place of ids.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from core.continued import Continued, Run
from core.continuity import MOST_HOLES, PROVING
from core.gaps import Coverage, Gap
from core.id_ranges import Hole, Range, unknown
from core.records import Mark, Reread
from core.remembered import Remembered, tell_apart
from core.timeframes import MINUTE
from core.trades import TradeBatch

SPACE = "execution"
"""The id space of trades whose ids do not chain."""


@dataclass(frozen=True, slots=True)
class ContinuityInTime:
    """Hold what is known of one instrument's trades; a value, never changed in place.

    ``ranges`` are closed stretches that nothing is missing from, ascending and apart; ``current`` is the one that
    grows with the connection that is listened to now, None while none is. ``up`` says that a connection is there;
    ``cause`` why the last one went. ``gaps`` are those not repaired; ``newest`` is the largest event time;
    ``claimed`` the minute up to which coverage was last told; what lies below ``floor`` is not remembered.
    """

    instrument: str
    lateness: int
    ranges: tuple[Range, ...] = ()
    current: Range | None = None
    up: bool = True
    cause: str = ""
    causes: tuple[tuple[int, str], ...] = ()
    gaps: tuple[Gap, ...] = ()
    newest: int = 0
    claimed: int = 0
    floor: int = 0
    remembered: Remembered = field(default_factory=Remembered)

    id_space = SPACE

    @property
    def watermark(self) -> int:
        """Give the event time that nothing is expected before."""
        return self.newest - self.lateness

    @property
    def proven(self) -> tuple[Range, ...]:
        """Give every stretch that nothing is missing from, ascending and apart."""
        if self.current is None:
            return self.ranges
        if not self.ranges or self.current.first_ts > self.ranges[-1].last_ts:
            return (*self.ranges, self.current)
        return _united((*self.ranges, self.current))

    @property
    def holes(self) -> tuple[Hole, ...]:
        """Give the stretches between those; the one above what still grows is none yet."""
        known = self.proven
        edge = self.current.last_ts if self.current is not None else -1
        return tuple(
            Hole(a.last_ts + 1, b.first_ts - 1, a.last_ts, b.first_ts, b.first_ts)
            for a, b in pairwise(known)
            if a.last_ts != edge and b.first_ts - a.last_ts > 1
        )


def follow(state: ContinuityInTime, trades: TradeBatch, *, live: bool = True) -> tuple[ContinuityInTime, Continued]:
    """Take trades in order of arrival: drop those known, and let the stretch grow that the connection proves.

    ``live`` trades came over a connection; others (REST, files) prove nothing until a `Reread` says so. Live ones
    from before all that is remembered are refused: whether they are known cannot be told.
    """
    found = Continued()
    remembered, told = tell_apart(state.remembered, trades, live=live)
    found.duplicates = int(told.repeated.sum())
    found.conflicts = trades.take(told.other) if told.other.any() else None
    found.refused = trades.take(told.unsure) if told.unsure.any() else None
    new = trades if told.fresh.all() else trades.take(told.fresh)
    if live and state.up and len(new):
        # Begun by a new trade only: one that is known may have been sent again from before the connection was lost.
        first = int(new.ts[0])
        grown = state.current or Range(first, first, first, first)
        last = max(grown.last_ts, int(new.ts.max()))
        state = replace(state, current=Range(grown.first_id, last, grown.first_ts, last))
    if len(new):
        state = replace(state, newest=max(state.newest, int(new.ts.max())))
        found.runs.append(Run(new, state.proven[-PROVING:]))
    return _claim(_declare(replace(state, remembered=remembered), found), found), found


def pass_time(state: ContinuityInTime, venue_time: int) -> tuple[ContinuityInTime, Continued]:
    """Let venue time pass: it proves nothing, because a dead connection is as quiet as a quiet market."""
    found = Continued()
    if venue_time > state.newest and (state.ranges or state.current):
        state = _declare(replace(state, newest=venue_time), found)
    return state, found


def mark(state: ContinuityInTime, told: Mark) -> tuple[ContinuityInTime, Continued]:
    """Take what happened to the connection: whatever it was, what comes next is not joined to what came before."""
    found = Continued()
    if told.mark == "resubscribed":
        return state, found
    up = told.mark == "connected"
    # A connection that begins where none was lost: its recorder ended without a word.
    cause = state.cause if up and not state.up else told.cause or ("restart" if up else "lost_connection")
    state = _closed(replace(state, up=up, cause=cause), found)
    if told.mark == "ended":
        state = replace(_declare(state, found, at_once=True), up=True)
    return state, found


def reread(state: ContinuityInTime, told: Reread) -> tuple[ContinuityInTime, Continued]:
    """Take what asking the venue again came to: a stretch is whole now, or it will never be."""
    found = Continued()
    before = state.proven
    if told.outcome == "unfillable":
        state = _declare(state, found, at_once=True)
        lost = [g for g in state.gaps if told.first <= g.last_id and g.first_id <= told.last and not g.unfillable]
        found.gaps.extend(replace(gap, unfillable=True) for gap in lost)
        named = {(gap.first_id, gap.last_id) for gap in lost}
        gaps = tuple(replace(g, unfillable=True) if (g.first_id, g.last_id) in named else g for g in state.gaps)
        return replace(state, gaps=gaps), found
    if state.current is not None and told.first > state.current.last_ts + 1:
        # All that the venue still has is newer than what was heard last: nobody has been hearing it.
        state = _closed(replace(state, cause="silence"), found)
    whole = Range(told.first, told.last, told.first, told.last)
    # What comes after the answer is proven by a trade that the connection brings: whether what was subscribed is in
    # force by now cannot be seen.
    state = replace(state, ranges=_united((*state.ranges, whole)))
    found.healed.extend((first - 1, last + 1) for first, last in unknown(before, whole.first_id, whole.last_id))
    found.ranges = state.proven[-PROVING:]
    found.coverage.extend(_coverage(state, r) for r in state.proven if r.first_ts <= whole.last_ts <= r.last_ts)
    return _declare(state, found), found


def _closed(state: ContinuityInTime, found: Continued) -> ContinuityInTime:
    """End the stretch that grew; why is kept for the hole that follows it."""
    if state.current is None:
        return state
    ranges = _united((*state.ranges, state.current))
    floor = state.floor
    if len(ranges) > MOST_HOLES:
        floor, ranges = ranges[-MOST_HOLES - 1].last_ts, ranges[-MOST_HOLES:]
    causes = (*state.causes, (state.current.last_ts, state.cause))[-MOST_HOLES:]
    found.coverage.append(_coverage(state, state.current))
    gaps = tuple(g for g in state.gaps if g.last_id > floor)
    return replace(state, ranges=ranges, current=None, causes=causes, floor=floor, gaps=gaps)


def _declare(state: ContinuityInTime, found: Continued, *, at_once: bool = False) -> ContinuityInTime:
    """Make holes gaps that the watermark has passed, and let gaps shrink by what is proven since."""
    holes = state.holes
    if not holes and not state.gaps:
        return state
    gaps = []
    for gap in state.gaps:
        missing = sum(min(h.last_id, gap.last_id) - max(h.first_id, gap.first_id) + 1 for h in holes if _in(h, gap))
        if missing < gap.missing:
            gap = replace(gap, missing=missing)
            found.gaps.append(gap)
        if missing:
            gaps.append(gap)
    for hole in holes:
        if (at_once or hole.due <= state.watermark) and not any(_in(hole, gap) for gap in gaps):
            bounds = hole.first_id, hole.last_id, hole.after_ts, hole.before_ts
            _, cause = _cause(state, hole) or (0, "")
            word = cause.partition(":")[0] or "not_recorded"
            gap = Gap(state.instrument, SPACE, *bounds, hole.last_id - hole.first_id + 1, word)
            gaps.append(gap)
            found.gaps.append(gap)
    if tuple(gaps) == state.gaps:
        return state
    wanted = {_cause(state, hole) for hole in holes}
    causes = tuple(c for c in state.causes if c in wanted or c == state.causes[-1])
    return replace(state, gaps=tuple(gaps), causes=causes)


def _cause(state: ContinuityInTime, hole: Hole) -> tuple[int, str] | None:
    """Give why the connection before a hole ended, and when: part of what was missed then may be there by now."""
    return next((one for one in reversed(state.causes) if one[0] <= hole.after_ts), None)


def _claim(state: ContinuityInTime, found: Continued) -> ContinuityInTime:
    if state.current is None or state.current.last_ts // MINUTE <= state.claimed:
        return state
    found.coverage.append(_coverage(state, state.current))
    return replace(state, claimed=state.current.last_ts // MINUTE)


def _united(ranges: Iterable[Range]) -> tuple[Range, ...]:
    united: list[Range] = []
    for one in sorted(ranges, key=lambda r: r.first_ts):
        if united and one.first_ts <= united[-1].last_ts + 1:
            last = max(united[-1].last_ts, one.last_ts)
            united[-1] = Range(united[-1].first_id, last, united[-1].first_ts, last)
        else:
            united.append(one)
    return tuple(united)


def _in(hole: Hole, gap: Gap) -> bool:
    return hole.first_id <= gap.last_id and gap.first_id <= hole.last_id


def _coverage(state: ContinuityInTime, r: Range) -> Coverage:
    return Coverage(state.instrument, SPACE, r.first_ts, r.last_ts, r.first_ts, r.last_ts)
