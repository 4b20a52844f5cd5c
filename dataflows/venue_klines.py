"""The venue's own candles: which of the versions that it tells is the last one; a pure function.

Where the venue says that a candle is closed, that version counts. Where it does not, a candle is closed by a later
one of the same instrument and timeframe, in its last version; what a lost connection, or a frame that cannot be read,
has left half told is no candle. Versions may arrive twice or out of order: a candle only grows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from core.klines import ClosedKline, KlineBatch
from core.records import Mark
from exchanges.decode import Told
from exchanges.messages import Kline

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OpenKlines:
    """Hold what is known of a feed's candles by (instrument, timeframe); a value, never changed in place.

    ``open`` are the last versions of candles that a later one may close, ``closed`` those that were closed last.
    """

    open: Mapping[_Key, Told[Kline]] = field(default_factory=dict)
    closed: Mapping[_Key, ClosedKline] = field(default_factory=dict)


def close_klines(
    state: OpenKlines, told: Sequence[Told[Kline]], marks: Iterable[tuple[int, Mark]]
) -> tuple[OpenKlines, KlineBatch | None]:
    """Take what the records of a block told, and its connection marks with their offsets, both ascending.

    A candle that is told again as it was is left out; one that was closed too early, its last version being slow to
    come, is given again.
    """
    # A connection that comes up says as well that one is gone: a recorder that was killed could not tell.
    lost = [(offset, mark) for offset, mark in marks if mark.mark != "resubscribed"]
    if not told and not (lost and state.open):
        return state, None
    waiting, closed = dict(state.open), dict(state.closed)
    rows: list[ClosedKline] = []
    offsets: list[int] = []
    for one in told:
        while lost and lost[0][0] < one.offset:
            _forget(waiting, lost.pop(0)[1])
        key = one.message.instrument, one.message.timeframe
        found = _closed_by(waiting, closed, key, one)
        if found is None:
            continue
        row = _row(found)
        if key not in closed or closed[key]._replace(received=row.received) != row:
            closed[key] = row
            rows.append(row)
            offsets.append(one.offset)
    for _, mark in lost:
        _forget(waiting, mark)
    batch = KlineBatch(tuple(rows), np.array(offsets, np.int64)) if rows else None
    return OpenKlines(waiting, closed), batch


def _closed_by(
    waiting: dict[_Key, Told[Kline]], closed: Mapping[_Key, ClosedKline], key: _Key, told: Told[Kline]
) -> Told[Kline] | None:
    kline = told.message
    if kline.closed is not None:
        return told if kline.closed else None
    before = waiting.get(key)
    if before is None or (kline.start == before.message.start and _follows(kline, before.message)):
        waiting[key] = told
        return None
    if kline.start > before.message.start:
        waiting[key] = told
        return before
    if kline.start < before.message.start:
        if kline.sent >= before.message.sent:
            # The venue tells the past anew, as after subscribing.
            waiting[key] = told
            return None
        last = closed.get(key)
        if last is not None and last.start == kline.start and Decimal(kline.volume) > last.volume:
            return told
    return None


def _follows(kline: Kline, before: Kline) -> bool:
    """Tell whether one version of a candle is later than another; some venues do not tell when they sent them."""
    return kline.sent >= before.sent and Decimal(kline.volume) >= Decimal(before.volume)


def _forget(waiting: dict[_Key, Told[Kline]], mark: Mark) -> None:
    # Marks name the instruments whose trades a connection carries; one that carries candles alone names none.
    for key in [key for key in waiting if not mark.instruments or key[0] in mark.instruments]:
        del waiting[key]


def _row(told: Told[Kline]) -> ClosedKline:
    kline = told.message
    return ClosedKline(
        kline.instrument,
        kline.timeframe,
        kline.start,
        told.received,
        float(kline.open),
        float(kline.high),
        float(kline.low),
        float(kline.close),
        Decimal(kline.volume),
        _decimal(kline.quote_volume),
        kline.trade_count,
        _decimal(kline.taker_buy_volume),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
