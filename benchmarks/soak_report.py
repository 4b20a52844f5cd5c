"""What a soak has shown: the table, and the verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.slope import Slope, slope
from benchmarks.soak_samples import COMPONENTS, Plan, Sample
from benchmarks.soak_stored import Stored
from benchmarks.table import Row
from exchanges.registry import venue

OURS = (*COMPONENTS, "postgres")
GROWTH = 0.02
"""What a process may grow in an hour, as a part of its memory, before it counts as a slope."""
_LAG_SECONDS = 1.0
_MARKET_MIB = 400
_HOUR = 3600.0
_JUDGED = 600.0
"""Seconds of a run whose slopes say something: a process that has just started grows."""
_LIMITS = venue("simulated").limits


@dataclass(frozen=True, slots=True)
class Soaked:
    """Hold what a run showed; times in seconds since all sockets were open.

    ``back`` is how long after the cut all sockets were open again, None where they never were.
    """

    plan: Plan
    samples: list[Sample]
    started: float
    cut_at: float
    cut: int
    back: float | None
    figures: dict[str, int]
    settled: float | None
    stored: Stored


def report(done: Soaked) -> list[Row]:
    """Give the rows; the slopes are those of the second half, and of a short run they are not judged."""
    return [
        _load(done),
        *_memory(done.samples, done.plan.seconds >= _JUDGED),
        _cpu(done),
        *_lag(done),
        _connections(done),
        _stored(done),
    ]


def later(samples: Sequence[Sample]) -> list[Sample]:
    """Give the second half of the time."""
    return [one for one in samples if one.at >= samples[-1].at / 2]


def grown(samples: Sequence[Sample], name: str) -> Slope:
    """Give the slope of a process's memory, MiB an hour."""
    found = [(one.at / _HOUR, one.usage[name].rss) for one in samples if name in one.usage]
    return slope([at for at, _ in found], [size for _, size in found])


def _load(done: Soaked) -> Row:
    first, last = done.samples[0], done.samples[-1]
    seconds = last.at - first.at
    sent, taken = (last.sent - first.sent) / seconds, (last.trades - first.trades) / seconds
    plan = done.plan
    return Row(
        f"{plan.instruments} instruments, {plan.rate:,.0f} trades/s, {done.cut} sockets, {last.at / 60:.0f} minutes",
        f"{taken:,.0f} trades/s taken",
        "as many as were sent",
        f"sent {sent:,.0f} trades/s",
        bool(taken >= 0.99 * sent),
    )


def _memory(samples: Sequence[Sample], judged: bool) -> list[Row]:
    half, found = later(samples), []
    for name in OURS:
        of = grown(half, name)
        anonymous = np.mean([one.usage[name].anonymous for one in half if name in one.usage])
        top = max(one.usage[name].rss for one in samples if name in one.usage)
        limit = _MARKET_MIB if name == "market" else None
        goal = "no slope" + (f", ≤ {limit} MiB" if limit else "")
        fits = limit is None or of.level <= limit
        found.append(
            Row(
                f"memory of {name}, second half",
                f"{of.level:.0f} MiB ({anonymous:.0f} anonymous, {top:.0f} at most),"
                f" slope {of.value:+.1f} ± {of.error:.1f} MiB an hour",
                goal,
                "–",
                bool(fits and not of.rises(GROWTH * of.level)) if judged else None,
            )
        )
    return found


def _cpu(done: Soaked) -> Row:
    shares = {}
    for name in (*OURS, "exchange"):
        seen = [(one.at, one.usage[name].cpu) for one in later(done.samples) if name in one.usage]
        shares[name] = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])
    listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if name != "exchange")
    return Row(
        "CPU of each process, parts of a core",
        listed,
        "–",
        f"the simulator itself {shares['exchange']:.0%}",
        None,
    )


def _lag(done: Soaked) -> list[Row]:
    half = later(done.samples)
    seconds = [one.lag_seconds for one in half]
    trend = slope([one.at / _HOUR for one in half], [float(one.lag_records) for one in half])
    queue = max(one.queue_bytes for one in done.samples)
    waiting = max(one.waiting for one in done.samples)
    worst = max(one.lag_seconds for one in done.samples)
    return [
        Row(
            "the dataflow behind the journal, second half, p50 / p99",
            f"{np.percentile(seconds, 50):.2f} / {np.percentile(seconds, 99):.2f} s"
            f" ({worst:.2f} s at most), slope {trend.value:+,.0f} ± {trend.error:,.0f} records an hour",
            f"p99 ≤ {_LAG_SECONDS:.0f} s, no growth",
            "–",
            bool(np.percentile(seconds, 99) <= _LAG_SECONDS and not trend.rises(done.plan.rate)),
        ),
        Row(
            "waiting for the disk; rows waiting for lake and ledger, at most",
            f"{queue / 1024:,.0f} kB; {waiting:,} rows",
            f"bounded: ≤ 64 MiB; {10 * done.plan.rate:,.0f} rows",
            "–",
            bool(queue <= 64 * 1024**2 and waiting <= 10 * done.plan.rate),
        ),
    ]


def _connections(done: Soaked) -> Row:
    most, refused = done.figures["attempts_most"], done.figures["refused"]
    back = "not all came back" if done.back is None else f"all back after {done.back:.0f} s"
    return Row(
        f"{done.cut} sockets cut at once, after {done.cut_at / 60:.0f} minutes",
        f"{back}; {most} attempts in {_LIMITS.attempts_per / 60:.0f} minutes at most; {refused} refused",
        f"≤ {_LIMITS.attempts} attempts in {_LIMITS.attempts_per / 60:.0f} minutes, none refused",
        "–",
        bool(done.back is not None and most <= _LIMITS.attempts and not refused),
    )


def _stored(done: Soaked) -> Row:
    stored = done.stored
    settled = "it never settled" if done.settled is None else f"settled in {done.settled:.0f} s"
    return Row(
        f"stored at the end ({settled}): {stored.trades:,} trades of {stored.instruments} instruments,"
        f" {stored.candles:,} minutes ({stored.incomplete:,} not complete)",
        f"{stored.missing} missing, {stored.twice} twice, {stored.gaps} gaps open;"
        f" {stored.differing} of {stored.compared:,} compared differ",
        "all that was sent, once",
        "the tape",
        not any((stored.missing, stored.twice, stored.gaps, stored.differing))
        and stored.instruments == done.plan.instruments,
    )
