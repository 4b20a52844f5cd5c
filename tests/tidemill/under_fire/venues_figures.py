"""How soon it was noticed, and mended: figures of what `up` did, from what it stored."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

import msgspec

from core.records import Kind, Mark
from storage.journal import Journal

_DETECTED = """
SELECT g.instrument, epoch(g.found - t.received) FROM ledger.public.gaps g
JOIN lake.trades t ON t.instrument = g.instrument AND t.trade_id = g.last_id + 1
WHERE g.id_space <> 'execution' AND g.found >= make_timestamp(?::BIGINT) AT TIME ZONE 'UTC'"""
_REPAIRED = """
SELECT g.instrument, epoch(max(t.received) - min(n.received)) FROM ledger.public.gaps g
JOIN lake.trades t ON t.instrument = g.instrument AND t.ts BETWEEN g.after_ts AND g.before_ts
    AND (g.id_space = 'execution' OR t.trade_id BETWEEN g.first_id AND g.last_id)
JOIN lake.trades n ON n.instrument = g.instrument AND n.ts = g.before_ts
WHERE g.state = 'repaired' AND g.found >= make_timestamp(?::BIGINT) AT TIME ZONE 'UTC'
GROUP BY g.instrument, g.first_id"""


def detected(catalog: Any, since: int) -> dict[str, list[float]]:
    """Give the seconds from the receipt of what proves a hole to its row in `gaps`, where ids tell holes.

    ``since`` (µs since the epoch, UTC, as the machine tells it): of gaps that were found later.
    """
    return _by_exchange(catalog, _DETECTED, since)


def repaired(catalog: Any, since: int) -> dict[str, list[float]]:
    """Give the seconds from the receipt of what ends a gap to that of the last trade that was missing."""
    return _by_exchange(catalog, _REPAIRED, since)


def silences(journal: Journal, feed: str, since: int) -> list[int]:
    """Give when connections were given up for their silence, as marked in the journal (µs since the epoch, UTC)."""
    return [at for at, mark in _marks(journal, feed) if at >= since and mark.cause.startswith("silence")]


def shown(figures: Mapping[str, list[float]]) -> str:
    """Write figures in a line."""
    every = [one for some in figures.values() for one in some]
    if not every:
        return "none"
    worst = {name: round(max(some), 2) for name, some in figures.items() if some}
    return f"{len(every)}, median {median(every):.2f} s, worst {worst}"


def _by_exchange(catalog: Any, query: str, since: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, seconds in catalog.execute(query, [since]).fetchall():
        found.setdefault(name.partition(":")[0], []).append(max(0.0, float(seconds)))
    return found


def _marks(journal: Journal, feed: str) -> Iterator[tuple[int, Mark]]:
    after = journal.first_offset(feed) - 1
    while (block := journal.read(feed, after, 16_384)) is not None:
        for record in block.records():
            if record.kind == Kind.MARK:
                yield record.received_at, msgspec.json.decode(record.payload, type=Mark)
        after = block.last_offset
