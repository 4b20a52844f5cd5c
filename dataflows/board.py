"""The board: what the market dataflow knows at this moment, for people to watch.

It can be thrown away at any time: the flow only ever writes to it, and nothing is decided from it.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.candle_fold import CandleFold, flush
from core.candles import Candle
from core.signals import Signal
from core.timeframes import BASE, HOUR, MINUTE, SECOND
from dataflows.decide import Deciding, Outcome, Placed
from dataflows.steps import Advanced

_SHARE_OF = 60
_RATE_OVER = 10 * SECOND
_MOST_RECENT = 100_000
_MINUTE = BASE[1].name


@dataclass(slots=True)
class _Watched:
    """Hold what is shown of one instrument."""

    feed: str
    price: float | None = None
    traded_at: int | None = None
    trades: int = 0
    forming: CandleFold | None = None
    closed: deque[Candle] = field(default_factory=lambda: deque(maxlen=HOUR // MINUTE + 1))
    values: dict[str, float] = field(default_factory=dict)
    signal: Signal | None = None
    failed: bool = False
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_MOST_RECENT))
    advanced_at: float = 0.0


class Board:
    """Collect the newest price, candles, values and signals of every instrument; safe to read from any thread.

    ``clock`` gives seconds, for rates; ``placed`` are the strategies whose values are shown.
    """

    def __init__(self, clock: Callable[[], float], placed: Sequence[Placed] = ()) -> None:
        self._clock = clock
        self._strategies = tuple(placed)
        self._watched: dict[str, _Watched] = {}
        self._turn = threading.Lock()

    def seed(self, feed: str, instrument: str, candles: Sequence[Candle], signal: Signal | None) -> None:
        """Begin with what is stored: closed 1m candles in order of start, and the last signal."""
        with self._turn:
            watched = self._watched.setdefault(instrument, _Watched(feed))
            watched.closed.extend(candles)
            watched.signal = signal
            if candles:
                watched.price = candles[-1].close

    def advance(self, advanced: Advanced) -> None:
        """Take what arrivals of an instrument led to."""
        with self._turn:
            watched = self._watched.setdefault(advanced.instrument, _Watched(advanced.feed))
            for batch in advanced.trades:
                if watched.traded_at is None or int(batch.ts[-1]) >= watched.traded_at:
                    watched.price, watched.traded_at = float(batch.price[-1]), int(batch.ts[-1])
                watched.trades += len(batch)
                recent = batch.ts > watched.traded_at - _RATE_OVER
                if recent.any():
                    watched.recent.append((int(batch.ts[-1]), int(np.count_nonzero(recent))))
                watched.advanced_at = self._clock()
            watched.forming = advanced.forming
            for candles in advanced.base:
                if candles.timeframe == _MINUTE and len(candles):
                    watched.closed.extend(candles.candles())

    def decided(self, instrument: str, state: Deciding, outcomes: Sequence[Outcome]) -> None:
        """Take the runs of an instrument as they are now, and what they decided."""
        with self._turn:
            watched = self._watched.get(instrument)
            if watched is None:
                return
            for outcome in outcomes:
                if isinstance(outcome, Signal):
                    watched.signal = outcome
            watched.values = dict(self._values(instrument, state))
            watched.failed = any(run.error for run in state.runs.values())

    def _values(self, instrument: str, state: Deciding) -> list[tuple[str, float]]:
        found = []
        for one in self._strategies:
            run = state.runs.get(one.run(instrument)) if one.wants(instrument) else None
            if run is None or run.error:
                continue
            for name, value in one.strategy.indicators(run.state.memory).items():
                found.append((f"{name} {one.timeframe.name}", value))
        return found

    def told(self) -> list[dict[str, Any]]:
        """Give what is known of each instrument, by name, as plain values; times in µs, prices as text."""
        now = self._clock()
        with self._turn:
            return [_told(name, watched, now) for name, watched in sorted(self._watched.items())]

    def failed(self) -> list[str]:
        """Give the instruments of which a run was stopped by an error of its own."""
        with self._turn:
            return sorted(name for name, watched in self._watched.items() if watched.failed)


def _told(name: str, watched: _Watched, now: float) -> dict[str, Any]:
    closed = list(watched.closed)
    last = closed[-_SHARE_OF:]
    before = closed[0].close if closed else None
    signal = watched.signal
    return {
        "instrument": name,
        "feed": watched.feed,
        "price": None if watched.price is None else _text(watched.price),
        "move": watched.price / before - 1 if before and watched.price is not None else None,
        "forming": _candle(_forming(watched)),
        "closed": _candle(closed[-1] if closed else None),
        "values": {key: value if value == value else None for key, value in watched.values.items()},
        "signal": signal
        and {
            "side": signal.side,
            "target": signal.target,
            "reason": signal.reason,
            "at": signal.decided_at,
            "timeframe": signal.timeframe,
        },
        "trades": watched.trades,
        "rate": _rate(watched, now),
        "traded_at": watched.traded_at,
        "complete": sum(candle.complete for candle in last) / len(last) if last else None,
    }


def _rate(watched: _Watched, now: float) -> float:
    """Give the trades a second of the venue's time, whatever the speed at which they came."""
    seen = watched.recent
    newest = watched.traded_at or 0
    while seen and seen[0][0] <= newest - _RATE_OVER:
        seen.popleft()
    stale = (now - watched.advanced_at) * SECOND > _RATE_OVER
    return 0.0 if stale else sum(count for _, count in seen) * SECOND / _RATE_OVER


def _forming(watched: _Watched) -> Candle | None:
    if watched.forming is None:
        return None
    opened = flush(watched.forming)[1].closed
    return opened.take(slice(len(opened) - 1, None)).candles()[0] if len(opened) else None


def _candle(candle: Candle | None) -> dict[str, Any] | None:
    if candle is None:
        return None
    return {
        "start": candle.start,
        "open": _text(candle.open),
        "high": _text(candle.high),
        "low": _text(candle.low),
        "close": _text(candle.close),
        "volume": f"{candle.volume.normalize():f}",
        "trade_count": candle.trade_count,
        "complete": candle.complete,
    }


def _text(price: float) -> str:
    # 15 significant digits: all that a stored price can have, and never an exponent.
    text = f"{price:.15g}"
    return text if "e" not in text else f"{price:.18f}".rstrip("0")
