"""The continuity fold where ids do not chain: which stretches of time were listened to without a break.

Ids of such venues tell trades apart and prove nothing (exchanges.md, table 0.2). What proves is the connection:
between two trades that one unbroken connection brought, nothing is missing. A connection that was lost, fell silent
or began anew leaves a stretch unproven, until the venue was asked again and what it has was taken (`Reread`).
Ranges, holes and gaps are those of `core.continuity`, with event times (µs since the epoch, UTC) in the place of ids.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter

from core.continued import Continued, Run
from core.continuity import PROVING
from core.gaps import Coverage, Gap
from core.id_ranges import Hole, Range, unknown
from core.records import Mark, Reread
from core.remembered import Remembered, tell_apart
from core.timeframes import MINUTE
from core.trades import TradeBatch

SPACE = "execution"
"""The id space of trades whose ids do not chain."""

MOST_STRETCHES = 512
"""So many proven stretches are remembered for an instrument; the ledger knows the gaps between older ones."""

TOO_LATE = "too_late"
"""The cause of a gap of one moment: a trade came so late that whether it is known cannot be told."""


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
        return tuple(_between(self.proven, self.current))


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
        grown = state.current or _begun(state, new)
        if grown is not None:
            last = max(grown.last_ts, int(new.ts.max()))
            state = replace(state, current=_stretch(grown.first_ts, last))
    if len(new):
        state = replace(state, newest=max(state.newest, int(new.ts.max())))
        found.runs.append(Run(new, state.proven[-PROVING:]))
    if found.refused is not None:
        state = _doubted(state, sorted(set(found.refused.ts.tolist())), found)
    state = _declare(replace(state, remembered=remembered), found)
    return _claim(state, found), found


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
        state = _judged(state, found, at_once=True)
        lost = [g for g in state.gaps if told.first <= g.last_id and g.first_id <= told.last and not g.unfillable]
        found.gaps.extend(replace(gap, unfillable=True) for gap in lost)
        named = {(gap.first_id, gap.last_id) for gap in lost}
        gaps = tuple(replace(g, unfillable=True) if (g.first_id, g.last_id) in named else g for g in state.gaps)
        return replace(state, gaps=gaps), found
    if state.current is not None and told.first > state.current.last_ts + 1:
        # All that the venue still has is newer than what was heard last: nobody has been hearing it.
        state = _closed(replace(state, cause="silence"), found)
    whole = _stretch(told.first, told.last)
    # What comes after the answer is proven by a trade that the connection brings: whether what was subscribed is in
    # force by now cannot be seen.
    state = replace(state, ranges=_united((*state.ranges, whole)))
    found.healed.extend((first - 1, last + 1) for first, last in unknown(before, whole.first_id, whole.last_id))
    found.ranges = state.proven[-PROVING:]
    found.coverage.extend(_coverage(state, r) for r in state.proven if r.first_ts <= whole.last_ts <= r.last_ts)
    return _judged(state, found), found


def _begun(state: ContinuityInTime, new: TradeBatch) -> Range | None:
    """Begin a stretch with the first trade that is newer than all that is proven; None while there is none.

    A trade of the last proven moment begins none: between two of one moment a connection may have been lost as well.
    """
    newer = new.ts[new.ts > state.ranges[-1].last_ts] if state.ranges else new.ts
    return _stretch(int(newer[0]), int(newer[0])) if len(newer) else None


def _doubted(state: ContinuityInTime, moments: Iterable[int], found: Continued) -> ContinuityInTime:
    """Take that something is missing at some moments (µs), whatever proved them."""
    for moment in moments:
        whole = next((one for one in state.proven if one.first_ts <= moment <= one.last_ts), None)
        if whole is None:
            continue
        others = [one for one in state.ranges if not whole.first_ts <= one.first_ts <= whole.last_ts]
        below = [_stretch(whole.first_ts, moment - 1)] if whole.first_ts < moment else []
        above, current = [_stretch(moment + 1, whole.last_ts)] if moment < whole.last_ts else [], state.current
        if current is not None and whole.last_ts >= current.last_ts:
            above, current = [], above[0] if above else None
        causes = list(state.causes)
        insort(causes, (moment - 1, TOO_LATE))
        ranges = _united((*others, *below, *above))[-MOST_STRETCHES:]
        state = replace(state, ranges=ranges, current=current, causes=tuple(causes)[-MOST_STRETCHES:])
        found.healed.append((moment - 1, moment + 1))
        found.ranges = state.proven[-PROVING:]
        state = _judged(state, found)
    return state


def _closed(state: ContinuityInTime, found: Continued) -> ContinuityInTime:
    """End the stretch that grew; why is kept for the hole that follows it."""
    if state.current is None:
        return state
    ranges = _united((*state.ranges, state.current))
    floor = state.floor
    if len(ranges) > MOST_STRETCHES:
        floor, ranges = ranges[-MOST_STRETCHES - 1].last_ts, ranges[-MOST_STRETCHES:]
    causes = (*state.causes, (state.current.last_ts, state.cause))[-MOST_STRETCHES:]
    found.coverage.append(_coverage(state, state.current))
    gaps = tuple(g for g in state.gaps if g.last_id > floor)
    return replace(state, ranges=ranges, current=None, causes=causes, floor=floor, gaps=gaps)


def _declare(state: ContinuityInTime, found: Continued, *, at_once: bool = False) -> ContinuityInTime:
    """Make the newest holes gaps once the watermark has passed them; gaps ascend, and these lie above them."""
    known = state.proven
    at = bisect_right(known, state.gaps[-1].last_id, key=attrgetter("last_ts")) if state.gaps else 0
    gaps = []
    for hole in _between(known[at:], state.current):
        if not at_once and hole.due > state.watermark:
            break
        gaps.append(_gap(state, hole))
    if not gaps:
        return state
    found.gaps.extend(gaps)
    return _caused(replace(state, gaps=(*state.gaps, *gaps)))


def _judged(state: ContinuityInTime, found: Continued, *, at_once: bool = False) -> ContinuityInTime:
    """Let gaps shrink by what is proven since, and make all holes gaps that the watermark has passed."""
    holes, gaps = state.holes, []
    ends = [hole.last_id for hole in holes]
    named: set[int] = set()
    for gap in state.gaps:
        missing, at = 0, bisect_left(ends, gap.first_id)
        while at < len(holes) and holes[at].first_id <= gap.last_id:
            missing += min(holes[at].last_id, gap.last_id) - max(holes[at].first_id, gap.first_id) + 1
            named.add(at)
            at += 1
        if missing < gap.missing:
            gap = replace(gap, missing=missing)
            found.gaps.append(gap)
        if missing:
            gaps.append(gap)
    for at, hole in enumerate(holes):
        if at not in named and (at_once or hole.due <= state.watermark):
            gap = _gap(state, hole)
            insort(gaps, gap, key=attrgetter("first_id"))
            found.gaps.append(gap)
    return state if tuple(gaps) == state.gaps else _caused(replace(state, gaps=tuple(gaps)))


def _gap(state: ContinuityInTime, hole: Hole) -> Gap:
    at = bisect_right(state.causes, hole.after_ts, key=lambda one: one[0])
    # Why the connection before it ended: part of what was missed then may be there by now.
    cause = state.causes[at - 1][1] if at else ""
    bounds = hole.first_id, hole.last_id, hole.after_ts, hole.before_ts
    word = cause.partition(":")[0] or "not_recorded"
    return Gap(state.instrument, SPACE, *bounds, hole.last_id - hole.first_id + 1, word)


def _caused(state: ContinuityInTime) -> ContinuityInTime:
    """Forget the causes of holes that are gaps now."""
    at = bisect_right(state.causes, state.gaps[-1].last_id, key=lambda one: one[0]) if state.gaps else 0
    return replace(state, causes=state.causes[max(0, min(at, len(state.causes)) - 1) :])


def _between(known: Iterable[Range], current: Range | None) -> Iterator[Hole]:
    edge = current.last_ts if current is not None else -1
    for a, b in pairwise(known):
        if a.last_ts != edge and b.first_ts - a.last_ts > 1:
            yield Hole(a.last_ts + 1, b.first_ts - 1, a.last_ts, b.first_ts, b.first_ts)


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


def _stretch(first: int, last: int) -> Range:
    return Range(first, last, first, last)


def _coverage(state: ContinuityInTime, r: Range) -> Coverage:
    return Coverage(state.instrument, SPACE, r.first_ts, r.last_ts, r.first_ts, r.last_ts)
