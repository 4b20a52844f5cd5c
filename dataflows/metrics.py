"""The figures of the market dataflow and the reviser, for Prometheus (design.md §9)."""

import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from core.records import RecordBlock
from core.signals import Signal
from core.timeframes import BASE
from dataflows.decide import Outcome, RunStopped
from dataflows.steps import Advanced

_MICROS = 1e6
_SILENT_SECONDS = 3.0
_DELAYS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class MarketMetrics:
    """Count what goes through the market dataflow. ``wall`` gives seconds since the epoch."""

    def __init__(self, registry: CollectorRegistry, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._read: dict[str, tuple[int, float, float]] = {}
        self.records = Counter("tidemill_records", "Journal records read", ["feed"], registry=registry)
        self.trades = Counter("tidemill_trades", "Trades taken, without repetitions", ["feed"], registry=registry)
        self.duplicates = Counter("tidemill_duplicates", "Trades that came again", ["feed"], registry=registry)
        self.gaps = Counter("tidemill_gaps", "Gaps told to the ledger, each change", ["feed"], registry=registry)
        self.unread = Counter("tidemill_quarantined", "Records that could not be taken", ["feed"], registry=registry)
        self.candles = Counter("tidemill_candles", "Base candles closed", ["timeframe"], registry=registry)
        self.signals = Counter("tidemill_signals", "Signals decided", ["side"], registry=registry)
        self.failed = Counter("tidemill_runs_failed", "Runs stopped by an error of theirs", registry=registry)
        self.lag_records = Gauge(
            "tidemill_lag_records", "Records in the journal, not yet read", ["feed"], registry=registry
        )
        self.lag_seconds = Gauge(
            "tidemill_lag_seconds", "Age of the last record read, 0 at the end", ["feed"], registry=registry
        )
        self.waiting = Gauge(
            "tidemill_waiting_rows", "Rows that wait for the lake or the ledger", ["store"], registry=registry
        )
        self.close_delay = Histogram(
            "tidemill_candle_close_delay_seconds",
            "From the receipt of the trade that closes a candle to the closed candle",
            buckets=_DELAYS,
            registry=registry,
        )

    def seen(self, block: RecordBlock) -> None:
        """Count a block of records as it is read."""
        self.records.labels(block.feed).inc(len(block))
        self._read[block.feed] = (block.last_offset, int(block.received[-1]) / _MICROS, self._wall())

    def read_up_to(self, feed: str) -> int:
        """Give the offset of the last record of a feed that was read since the start, -1 before the first."""
        return self._read[feed][0] if feed in self._read else -1

    def measure(self, feed: str, last_offset: int, begun: int) -> tuple[int, float]:
        """Give how far a feed lags: in records behind its journal, and by the age of the last one that was read.

        A live feed brings a tick a second: without one for three seconds the silence counts, though nothing waits.
        Until a record is read, ``begun`` is the offset that counts, and its age is not known (0).
        """
        now = self._wall()
        at, received, read = self._read.get(feed, (begun, now, now))
        records = max(0, last_offset - at)
        silent = now - read
        seconds = max(0.0, now - received) if records else silent if silent > _SILENT_SECONDS else 0.0
        self.lag_records.labels(feed).set(records)
        self.lag_seconds.labels(feed).set(seconds)
        return records, seconds

    def advanced(self, advanced: Advanced) -> None:
        """Count what arrivals led to."""
        feed = advanced.feed
        if advanced.trades:
            self.trades.labels(feed).inc(sum(len(batch) for batch in advanced.trades))
        if advanced.duplicates:
            self.duplicates.labels(feed).inc(advanced.duplicates)
        if advanced.gaps:
            self.gaps.labels(feed).inc(len(advanced.gaps))
        if advanced.unread:
            self.unread.labels(feed).inc(len(advanced.unread))
        for candles in advanced.base:
            self.candles.labels(candles.timeframe).inc(len(candles))
        if advanced.trades and any(len(c) and c.timeframe == BASE[0].name for c in advanced.base):
            received = int(advanced.trades[-1].received[-1])
            if received > 0:
                self.close_delay.observe(max(0.0, self._wall() - received / _MICROS))

    def decided(self, outcomes: Sequence[Outcome]) -> None:
        """Count decisions and runs that failed."""
        for outcome in outcomes:
            if isinstance(outcome, Signal):
                self.signals.labels(outcome.side).inc()
            elif isinstance(outcome, RunStopped) and outcome.error:
                self.failed.inc()


class ReviserMetrics:
    """Count the reviser's work."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.minutes = Counter("tidemill_revised_minutes", "Dirty minutes folded again", registry=registry)
        self.candles = Counter("tidemill_revised_candles", "Candles that came out different", registry=registry)
        self.dirty = Gauge("tidemill_dirty_minutes", "Minutes that wait to be folded again", registry=registry)
        self.seconds = Histogram(
            "tidemill_revise_seconds", "Time of one round of revising", buckets=_DELAYS, registry=registry
        )
