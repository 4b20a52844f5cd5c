"""The steps between decoding and deciding: continuity, then candles; pure functions over the folds of `core`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from core import candle_series, completeness
from core.candle_fold import CandleFold
from core.candle_series import CandleSeries, Formed
from core.candles import Candle, CandleBatch
from core.completeness import Known
from core.continued import Continued
from core.gaps import Coverage, DirtyMinute, Gap
from core.quotes import QuoteBatch
from core.records import Mark, Quarantined, Reread, Tick, VenueCandles
from core.trades import TradeBatch
from dataflows.decode import Arrivals, set_aside


@dataclass(frozen=True, slots=True)
class Checked:
    """Hold arrivals that went through the continuity fold."""

    arrivals: Arrivals
    continued: Continued
    unread: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class Advanced:
    """Hold all that some arrivals of one instrument led to, up to the decisions.

    ``trades`` and ``base`` (candles of the base timeframes) go to the lake; ``gaps``, ``coverage``, ``dirty`` and
    ``unread`` to the ledger; ``base`` and ``larger`` to the strategies, and ``told``, the venue's own candles from
    before the recording, and ``quotes``. ``forming`` is the fold that holds the open minute.
    """

    feed: str
    instrument: str
    trades: Sequence[TradeBatch] = ()
    base: Sequence[CandleBatch] = ()
    larger: Sequence[Candle] = ()
    gaps: Sequence[Gap] = ()
    coverage: Sequence[Coverage] = ()
    dirty: Sequence[DirtyMinute] = ()
    unread: Sequence[Quarantined] = ()
    duplicates: int = field(default=0)
    told: VenueCandles | None = None
    quotes: QuoteBatch | None = None
    forming: CandleFold | None = None


def check_continuity(state: Known | None, arrivals: Arrivals, lateness: int) -> tuple[Known | None, list[Checked]]:
    """Drop duplicates, find holes. ``lateness`` is in µs."""
    event = arrivals.event
    if arrivals.trades is not None:
        if state is None:
            state = completeness.begun(arrivals.instrument, arrivals.trades.id_space, lateness)
        elif state.lateness != lateness:
            state = replace(state, lateness=lateness)
        if arrivals.trades.id_space != state.id_space:
            return state, [Checked(arrivals, Continued(), _foreign(state, arrivals, arrivals.trades))]
        state, continued = completeness.follow(state, arrivals.trades, live=arrivals.live)
    elif isinstance(event, VenueCandles):
        return state, [Checked(arrivals, Continued())]
    elif state is None:
        return None, []
    elif isinstance(event, Tick):
        state, continued = completeness.pass_time(state, event.venue_time)
    elif isinstance(event, Reread):
        if event.id_space != state.id_space:
            return state, []
        state, continued = completeness.reread(state, event)
    elif isinstance(event, Mark):
        state, continued = completeness.mark(state, event)
        if event.mark != "ended" and not (continued.coverage or continued.gaps):
            return state, []
    else:
        return state, []
    return state, [Checked(arrivals, continued, _refused(arrivals, continued))]


def form_candles(
    state: CandleSeries | None, checked: Checked, timeframes: Sequence[str], lateness: int
) -> tuple[CandleSeries, list[Advanced]]:
    """Fold what is new into candles; name the minutes whose stored candles are no longer right."""
    arrivals, continued = checked.arrivals, checked.continued
    if state is None:
        state = CandleSeries.start(arrivals.instrument, timeframes, lateness)
    state = state.adjusted(timeframes, lateness)
    state, formed = candle_series.take(state, continued)
    if isinstance(arrivals.event, Tick):
        state, more = candle_series.pass_time(state, arrivals.event.venue_time, arrivals.offset)
        _join(formed, more)
    elif isinstance(arrivals.event, Mark) and arrivals.event.mark == "ended":
        state, more = candle_series.end(state, arrivals.offset)
        _join(formed, more)
    trades = [run.trades for run in continued.runs]
    # The lake's position follows from the rows it gets: what is dirty waits for the last of these.
    offset = max((int(batch.offset[-1]) for batch in trades), default=arrivals.offset)
    return state, [
        Advanced(
            arrivals.feed,
            arrivals.instrument,
            trades,
            formed.base,
            formed.larger,
            continued.gaps,
            continued.coverage,
            formed.dirty_minutes(arrivals.instrument, arrivals.feed, offset),
            checked.unread,
            continued.duplicates,
            arrivals.event if isinstance(arrivals.event, VenueCandles) else None,
            arrivals.quotes,
            state.base[-1],
        )
    ]


def _join(formed: Formed, more: Formed) -> None:
    formed.base.extend(more.base)
    formed.larger.extend(more.larger)
    formed.dirty.update(more.dirty)


def _foreign(state: Known, arrivals: Arrivals, trades: TradeBatch) -> tuple[Quarantined, ...]:
    reason = (
        f"a trade of {arrivals.instrument} has an {trades.id_space} id, its candles are folded from "
        f"{state.id_space} ids: record one of the two streams"
    )
    return tuple(set_aside(arrivals.feed, trades, reason))


def _refused(arrivals: Arrivals, continued: Continued) -> tuple[Quarantined, ...]:
    rows = []
    if continued.refused is not None:
        reason = f"a trade of {arrivals.instrument} is older than all that is remembered: import it"
        rows += set_aside(arrivals.feed, continued.refused, reason)
    if continued.conflicts is not None:
        reason = (
            f"a trade of {arrivals.instrument} has the id of another: it says something else or is much later; the "
            "first one is kept"
        )
        rows += set_aside(arrivals.feed, continued.conflicts, reason)
    return tuple(rows)
