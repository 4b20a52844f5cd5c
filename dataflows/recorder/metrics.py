"""The figures of the recorder, for Prometheus (design.md §9)."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_COMMIT = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_BREAKER = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(frozen=True, slots=True)
class FeedMetrics:
    """Hold the figures of one feed. Times are in seconds."""

    frames: Counter
    bytes: Counter
    groups: Counter
    trades: Counter
    unreadable: Counter
    connects: Counter
    caught_up: Counter
    left: Counter
    holes: Gauge
    connected: Gauge
    waiting: Gauge
    clock_offset: Gauge
    data_age: Gauge
    last_offset: Gauge
    commit: Histogram
    lost: Counter
    breaker: Gauge
    feed: str

    def count_lost(self, cause: str) -> None:
        """Count a connection that was lost."""
        self.lost.labels(self.feed, cause).inc()

    def tell_breaker(self, host: str, state: str) -> None:
        """Tell how the breaker of one of the feed's hosts is."""
        self.breaker.labels(self.feed, host).set(_BREAKER[state])


class RecorderMetrics:
    """Count what goes through the recorder, by feed."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *more: str) -> Counter:
            return Counter(f"tidemill_recorder_{name}", text, ["feed", *more], registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"tidemill_recorder_{name}", text, ["feed"], registry=registry)

        self._frames = counter("frames", "Frames made durable")
        self._bytes = counter("bytes", "Bytes of records made durable")
        self._groups = counter("groups", "Groups of records made durable at one stroke")
        self._trades = counter("trades", "Trades seen in what was made durable, repetitions among them")
        self._unreadable = counter("unreadable", "Frames recorded that cannot be read")
        self._connects = counter("connects", "Connections that came about")
        self._lost = counter("lost", "Connections that were lost", "cause")
        self._caught_up = counter("caught_up_trades", "Trades fetched because they were missing")
        self._left = counter("left_holes", "Holes that were given up")
        self._holes = gauge("holes", "Holes in the trade ids at present")
        self._connected = gauge("connections", "Connections that are up")
        self._waiting = gauge("queue_bytes", "Bytes that wait for the disk")
        self._clock_offset = gauge("clock_offset_seconds", "The venue's clock less ours")
        self._data_age = gauge("data_age_seconds", "Time since the last frame")
        self._breaker = Gauge(
            "tidemill_recorder_breaker",
            "Breaker of a host: 0 closed, 1 half open, 2 open (nothing is sent)",
            ["feed", "host"],
            registry=registry,
        )
        self._last_offset = gauge("last_offset", "Offset of the last durable record")
        self._commit = Histogram(
            "tidemill_recorder_commit_seconds",
            "Time of one durable append",
            ["feed"],
            buckets=_COMMIT,
            registry=registry,
        )

    def of(self, feed: str) -> FeedMetrics:
        """Give the figures of one feed."""
        return FeedMetrics(
            frames=self._frames.labels(feed),
            bytes=self._bytes.labels(feed),
            groups=self._groups.labels(feed),
            trades=self._trades.labels(feed),
            unreadable=self._unreadable.labels(feed),
            connects=self._connects.labels(feed),
            caught_up=self._caught_up.labels(feed),
            left=self._left.labels(feed),
            holes=self._holes.labels(feed),
            connected=self._connected.labels(feed),
            waiting=self._waiting.labels(feed),
            clock_offset=self._clock_offset.labels(feed),
            data_age=self._data_age.labels(feed),
            last_offset=self._last_offset.labels(feed),
            commit=self._commit.labels(feed),
            lost=self._lost,
            breaker=self._breaker,
            feed=feed,
        )
