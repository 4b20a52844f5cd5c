"""The roll-up: one-minute candles become candles of a larger timeframe.

The same fold as the SQL view `candles`; a law test holds them equal.
"""

from dataclasses import dataclass, replace

from core.candles import EXACT, Candle
from core.plain import Plain
from core.timeframes import MINUTE, Timeframe


@dataclass(frozen=True, slots=True)
class RollUp(Plain):
    """Hold the candle of ``timeframe`` that is being put together, and how many of its minutes it has."""

    timeframe: Timeframe
    forming: Candle | None = None
    minutes: int = 0


def roll_up(state: RollUp, minute: Candle) -> tuple[RollUp, list[Candle]]:
    """Take the next minute (in order of start); give the candles that are closed by it.

    Open, high, low and close are those of the minutes with trades; a candle without any is flat. It is complete
    when every minute of its interval was there and complete.
    """
    start = state.timeframe.floor(minute.start)
    closed = []
    if state.forming is not None and state.forming.start != start:
        closed.append(replace(state.forming, complete=False))
        state = RollUp(state.timeframe)
    if state.forming is None:
        forming = replace(minute, timeframe=state.timeframe.name, start=start)
    else:
        forming = _add(state.forming, minute)
    minutes = state.minutes + 1
    end = state.timeframe.end(start)
    if minute.start + MINUTE < end:
        return RollUp(state.timeframe, forming, minutes), closed
    whole = minutes == (end - start) // MINUTE
    return RollUp(state.timeframe), [*closed, replace(forming, complete=forming.complete and whole)]


def _add(sofar: Candle, minute: Candle) -> Candle:
    whole = replace(
        sofar,
        complete=sofar.complete and minute.complete,
        revision=max(sofar.revision, minute.revision),
    )
    if minute.trade_count == 0:
        return whole
    if sofar.trade_count == 0:
        whole = replace(whole, open=minute.open, high=minute.high, low=minute.low)
    return replace(
        whole,
        high=max(whole.high, minute.high),
        low=min(whole.low, minute.low),
        close=minute.close,
        volume=EXACT.add(whole.volume, minute.volume),
        quote_volume=EXACT.add(whole.quote_volume, minute.quote_volume),
        trade_count=whole.trade_count + minute.trade_count,
        taker_buy_volume=EXACT.add(whole.taker_buy_volume, minute.taker_buy_volume),
    )
