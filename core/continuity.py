"""The continuity fold: which trade ids have been received, which are missing, which came twice.

For id spaces that chain (the next id is the previous plus one; exchanges.md, table 0.2). Trades go through in
order of arrival; a duplicate is dropped; a hole becomes a gap when event time has passed it by the lateness,
and is repaired by whatever arrives later. All decisions are made trade by trade, so they do not depend on how
trades are batched; runs of consecutive ids are only handled at one stroke because nothing can happen inside them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from core.continued import Continued, Run
from core.gaps import Coverage, Gap
from core.id_ranges import Hole, Range, consecutive, renumbered, rows_of, stretches, unknown
from core.plain import Plain
from core.records import Mark, Reread
from core.timeframes import MINUTE
from core.trades import TradeBatch

NEVER = 2**63 - 1
"""The event time (µs) at which a hole that is a gap already becomes one."""

PROVING = 256
"""How many of the newest ranges are asked whether they prove a candle."""

MOST_HOLES = 10_000
"""How many holes are remembered for an instrument; what arrives for older ones is refused, not guessed."""


@dataclass(frozen=True, slots=True)
class Continuity(Plain):
    """Hold what is known of one instrument's trade ids; a value, never changed in place.

    ``ranges`` and ``holes`` ascend; a hole lies between each two ranges. ``gaps`` are those still missing ids.
    ``newest`` is the largest event time (µs); ``claimed`` the minute up to which coverage was last told.
    ``floor`` is the largest id that is no longer remembered; ``due`` when the next hole becomes a gap; ``cause`` why
    the connection was lost, if it was since the last trade.
    """

    instrument: str
    id_space: str
    lateness: int
    ranges: tuple[Range, ...] = ()
    holes: tuple[Hole, ...] = ()
    gaps: tuple[Gap, ...] = ()
    newest: int = 0
    claimed: int = 0
    floor: int = -1
    due: int = NEVER
    cause: str = ""

    @property
    def watermark(self) -> int:
        """Give the event time that nothing is expected before."""
        return self.newest - self.lateness


def follow(state: Continuity, trades: TradeBatch) -> tuple[Continuity, Continued]:
    """Take trades in order of arrival: drop those known, find holes, fill holes."""
    found = Continued()
    firsts = trades.ids - trades.fills + 1 if trades.id_space == "merged" else trades.ids
    for run in consecutive(firsts, trades.ids):
        for low, high in _believed(state, trades, run, found):
            first, last = int(firsts[low]), int(trades.ids[high - 1])
            found.duplicates += high - low
            if first <= state.floor:
                cut = rows_of(firsts, trades.ids, (low, high), first, min(last, state.floor))[1]
                found.refused = _join(found.refused, trades.take(slice(low, low + cut)))
                found.duplicates -= cut
                low, first = low + cut, min(last, state.floor) + 1
            for new_first, new_last in unknown(state.ranges, first, last):
                begin, count = rows_of(firsts, trades.ids, (low, high), new_first, new_last)
                if count == 0:
                    # Part of a merged row cannot be taken: what of it is unknown stays a hole, for REST to fill.
                    continue
                rows = trades if count == len(trades) else trades.take(slice(begin, begin + count))
                state = _insert(state, int(firsts[begin]), int(rows.ids[-1]), rows, found)
                found.runs.append(Run(rows, state.ranges[-PROVING:]))
                state = _forget(_declare(state, found))
    found.duplicates -= sum(len(run.trades) for run in found.runs)
    return _claim(state, found), found


def pass_time(state: Continuity, venue_time: int) -> tuple[Continuity, Continued]:
    """Let venue time pass: holes that are due become gaps. ``venue_time`` is µs since the epoch, UTC."""
    found = Continued()
    if state.ranges and venue_time > state.newest:
        state = _declare(replace(state, newest=venue_time), found)
    return state, found


def mark(state: Continuity, told: Mark) -> Continuity:
    """Take what happened to the connection: ids prove by themselves, this only says why some are missing."""
    if told.mark == "lost":
        return replace(state, cause=told.cause.partition(":")[0] or "lost_connection")
    return replace(state, cause="restart") if told.mark == "connected" and not state.cause else state


def reread(state: Continuity, told: Reread) -> tuple[Continuity, Continued]:
    """Take that the venue has no more of some missing ids: their holes are gaps now, and stay."""
    found = Continued()
    if told.outcome == "closed":
        return state, found
    lost = [hole for hole in state.holes if told.first <= hole.first_id and hole.last_id <= told.last]
    due = tuple(replace(hole, due=0) if hole in lost and hole.gap is None else hole for hole in state.holes)
    state = _declare(replace(state, holes=due, due=_next_due(due)), found)
    named = {hole.gap for hole in state.holes if told.first <= hole.first_id and hole.last_id <= told.last}
    still = {hole.gap for hole in state.holes if not (told.first <= hole.first_id and hole.last_id <= told.last)}
    gaps = []
    for gap in state.gaps:
        bounds = gap.first_id, gap.last_id
        if bounds in named and bounds not in still and not gap.unfillable:
            gap = replace(gap, unfillable=True)
            found.gaps.append(gap)
        gaps.append(gap)
    return replace(state, gaps=tuple(gaps)), found


def end(state: Continuity) -> tuple[Continuity, Continued]:
    """Take the end of a recording: every hole becomes a gap, and all coverage is told."""
    found = Continued()
    state = _declare(replace(state, holes=tuple(replace(h, due=0) for h in state.holes), due=0), found)
    found.coverage.extend(_coverage(state, r) for r in state.ranges)
    return state, found


def _believed(
    state: Continuity, trades: TradeBatch, run: tuple[int, int], found: Continued
) -> Iterable[tuple[int, int]]:
    """Give the parts of a run that can be what their ids say; set the others apart."""
    if not state.ranges or int(trades.ids[run[0]]) > state.ranges[-1].last_id:
        return (run,)
    rows = slice(*run)
    anew = renumbered(trades.ids[rows], trades.ts[rows], state.ranges[-1])
    if not anew.any():
        return (run,)
    found.conflicts = _join(found.conflicts, trades.take(run[0] + np.flatnonzero(anew)))
    return [(run[0] + low, run[0] + high) for low, high in stretches(~anew)]


def _insert(state: Continuity, first: int, last: int, rows: TradeBatch, found: Continued) -> Continuity:
    ranges = state.ranges
    new = Range(first, last, int(rows.ts[0]), int(rows.ts.max()))
    newest = max(state.newest, new.last_ts)
    if not ranges:
        return replace(state, ranges=(new,), newest=newest)
    top = ranges[-1]
    if first == top.last_id + 1:
        grown = Range(top.first_id, last, top.first_ts, max(top.last_ts, new.last_ts))
        return _extended(state, (*ranges[:-1], grown), newest)
    if first > top.last_id:
        cause = state.cause or "missing_ids"
        hole = Hole(top.last_id + 1, first - 1, top.last_ts, new.first_ts, new.first_ts, cause=cause)
        found.coverage.append(_coverage(state, top))
        return replace(
            state,
            ranges=(*ranges, new),
            holes=(*state.holes, hole),
            newest=newest,
            due=min(state.due, hole.due),
            cause="",
        )
    return _insert_below(replace(state, newest=newest), new, found)


def _extended(state: Continuity, ranges: tuple[Range, ...], newest: int) -> Continuity:
    # As dataclasses.replace would, at a fifth of its cost: this is the way of nearly every trade.
    identity = (state.instrument, state.id_space, state.lateness)
    return Continuity(*identity, ranges, state.holes, state.gaps, newest, state.claimed, state.floor, state.due)


def _insert_below(state: Continuity, new: Range, found: Continued) -> Continuity:
    ranges, holes = list(state.ranges), list(state.holes)
    at = next(i for i, r in enumerate(ranges) if r.first_id > new.last_id)
    above = ranges[at]
    if at == 0:
        hole = Hole(new.first_id, above.first_id - 1, new.first_ts, above.first_ts, 0, below=True)
    else:
        hole = holes.pop(at - 1)
    left, right, merged, at_range = _fill(ranges, at, hole, new)
    # A hole below everything is due when the stream has moved on without filling it any further.
    due = state.newest + 1 if hole.below else hole.due
    parts = [replace(part, due=due) for part in (left, right) if part is not None]
    at_hole = max(at - 1, 0)
    holes[at_hole:at_hole] = parts if at else parts[-1:]
    gaps = _shrink(state.gaps, hole, new.last_id - new.first_id + 1, found)
    joined_below, joined_above = bool(at) and left is None, right is None
    found.healed.append(
        (hole.after_ts if joined_below else new.first_ts, hole.before_ts if joined_above else new.last_ts)
    )
    found.coverage.append(_coverage(state, merged[at_range]))
    return replace(state, ranges=tuple(merged), holes=tuple(holes), gaps=gaps, due=_next_due(holes))


def _fill(ranges: list[Range], at: int, hole: Hole, new: Range) -> tuple[Hole | None, Hole | None, list[Range], int]:
    """Put ``new`` before ``ranges[at]``; give what is left of the hole on both sides, the ranges, its place."""
    left = right = None
    above = ranges[at]
    start, stop, place = at, at, at
    if at and ranges[at - 1].last_id + 1 == new.first_id:
        below = ranges[at - 1]
        new = Range(below.first_id, new.last_id, below.first_ts, max(below.last_ts, new.last_ts))
        start, place = at - 1, at - 1
    elif at:
        left = replace(hole, last_id=new.first_id - 1, before_ts=new.first_ts)
    if new.last_id + 1 == above.first_id:
        new = Range(new.first_id, above.last_id, new.first_ts, max(new.last_ts, above.last_ts))
        stop = at + 1
    else:
        right = replace(hole, first_id=new.last_id + 1, after_ts=new.last_ts)
    return left, right, [*ranges[:start], new, *ranges[stop:]], place


def _shrink(gaps: tuple[Gap, ...], hole: Hole, filled: int, found: Continued) -> tuple[Gap, ...]:
    if hole.gap is None:
        return gaps
    kept = []
    for gap in gaps:
        if (gap.first_id, gap.last_id) == hole.gap:
            gap = replace(gap, missing=gap.missing - filled)
            found.gaps.append(gap)
        if gap.missing:
            kept.append(gap)
    return tuple(kept)


def _declare(state: Continuity, found: Continued) -> Continuity:
    if state.due > state.watermark:
        return state
    holes, gaps = [], list(state.gaps)
    for hole in state.holes:
        if hole.gap is None and hole.due <= state.watermark:
            missing = hole.last_id - hole.first_id + 1
            gap = Gap(
                state.instrument,
                state.id_space,
                hole.first_id,
                hole.last_id,
                hole.after_ts,
                hole.before_ts,
                missing,
                hole.cause,
            )
            gaps.append(gap)
            found.gaps.append(gap)
            hole = replace(hole, below=False, gap=(hole.first_id, hole.last_id))
        holes.append(hole)
    return replace(state, holes=tuple(holes), gaps=tuple(gaps), due=_next_due(holes))


def _next_due(holes: Iterable[Hole]) -> int:
    return min((hole.due for hole in holes if hole.gap is None), default=NEVER)


def _claim(state: Continuity, found: Continued) -> Continuity:
    if not state.ranges:
        return state
    minute = state.ranges[-1].last_ts // MINUTE
    if minute <= state.claimed:
        return state
    found.coverage.append(_coverage(state, state.ranges[-1]))
    return replace(state, claimed=minute)


def _forget(state: Continuity) -> Continuity:
    extra = len(state.holes) - MOST_HOLES
    if extra <= 0:
        return state
    ranges, holes = state.ranges[extra:], state.holes[extra:]
    floor = ranges[0].first_id - 1
    gaps = tuple(g for g in state.gaps if g.last_id > floor)
    return replace(state, ranges=ranges, holes=holes, gaps=gaps, floor=floor)


def _coverage(state: Continuity, r: Range) -> Coverage:
    return Coverage(state.instrument, state.id_space, r.first_id, r.last_id, r.first_ts, r.last_ts)


def _join(before: TradeBatch | None, more: TradeBatch) -> TradeBatch:
    return more if before is None else TradeBatch.concat([before, more])
