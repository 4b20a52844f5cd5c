"""tidemill status: what is stored, how far it got, what is not proven."""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from core.settings import Settings
from storage.data_folder import DataFolder
from storage.journal import Journal
from tidemill.configuration import configured
from tidemill.folder import existing
from tidemill.query import catalog, rows
from tidemill.tables import size, table

_QUERIES = {
    "instruments": """
        WITH t AS (SELECT instrument, count(*) AS trades, max(ts) AS last_trade FROM trades GROUP BY ALL),
             c AS (SELECT instrument, count(*) AS minutes, count(*) FILTER (complete) AS proven
                   FROM candles WHERE timeframe = '1m' GROUP BY ALL),
             g AS (SELECT instrument, count(*) FILTER (state = 'open') AS open_gaps FROM gaps GROUP BY ALL),
             d AS (SELECT instrument, count(DISTINCT minute) AS dirty_minutes FROM dirty_minutes GROUP BY ALL),
             s AS (SELECT instrument, count(*) AS signals FROM signals GROUP BY ALL)
        SELECT instrument, coalesce(trades, 0) AS trades, last_trade, coalesce(minutes, 0) AS minutes,
               coalesce(proven, 0) AS proven, coalesce(open_gaps, 0) AS open_gaps,
               coalesce(dirty_minutes, 0) AS dirty_minutes, coalesce(signals, 0) AS signals
        FROM t FULL JOIN c USING (instrument) FULL JOIN g USING (instrument) FULL JOIN d USING (instrument)
             FULL JOIN s USING (instrument)
        ORDER BY instrument""",
    "runs": """
        SELECT r.id AS run, r.strategy, r.instrument, r.timeframe, r.state, count(s.id) AS signals,
               max(s.decided_at) AS last_signal, r.error
        FROM runs r LEFT JOIN signals s ON s.run = r.id GROUP BY ALL ORDER BY r.id""",
    "quarantine": """
        SELECT feed, count(*) AS records, max(received_at) AS last_received FROM quarantine
        GROUP BY ALL ORDER BY feed""",
}
_FEEDS = """SELECT feed, min("offset") AS lake_offset FROM lake.offsets GROUP BY ALL ORDER BY feed"""
_COVERAGE = """
    SELECT instrument, CAST(start AS DATE) AS day, count(*) AS minutes, count(*) FILTER (complete) AS proven,
           floor(10000.0 * count(*) FILTER (complete) / 1440)::DOUBLE / 100 AS percent_of_day
    FROM candles WHERE timeframe = '1m' GROUP BY ALL ORDER BY instrument, day"""


def status(
    ctx: typer.Context,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="For each instrument and day: which share of it is proven.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what is stored, how far it got, and what is not proven.

    Example: tidemill status --coverage
    """
    settings = configured(ctx)
    folder = existing(settings.data)
    with catalog(settings) as connection:
        if coverage:
            found: dict[str, Any] = {"coverage": rows(connection, _COVERAGE)}
        else:
            offsets = {row["feed"]: row["lake_offset"] for row in rows(connection, _FEEDS)}
            found = {
                "folder": _folder(settings, folder),
                "feeds": _feeds(folder, offsets),
                **{name: rows(connection, query) for name, query in _QUERIES.items()},
            }
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    else:
        sys.stdout.write(_drawn(found))


def _folder(settings: Settings, folder: DataFolder) -> dict[str, Any]:
    return {
        "path": str(folder.path),
        "tidemill": version("tidemill"),
        "journal_bytes": _bytes(folder.journal),
        "lake_bytes": None if settings.lake.path and "://" in settings.lake.path else _bytes(_lake(settings, folder)),
        "ledger_bytes": None if settings.ledger.url else _bytes(folder.ledger),
    }


def _lake(settings: Settings, folder: DataFolder) -> Path:
    return Path(settings.lake.path) if settings.lake.path else folder.lake


def _feeds(folder: DataFolder, lake_offsets: dict[str, int]) -> list[dict[str, Any]]:
    with Journal(folder.journal) as journal:
        last = {feed: journal.last_offset(feed) for feed in journal.feeds()}
    return [
        {
            "feed": feed,
            "journal_offset": last.get(feed, -1),
            "lake_offset": lake_offsets.get(feed, -1),
            "lag": max(0, last.get(feed, -1) - lake_offsets.get(feed, -1)),
        }
        for feed in sorted(last.keys() | lake_offsets.keys())
    ]


def _bytes(folder: Path) -> int | None:
    try:
        return sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
    except OSError:
        # Files come and go while others write, and another user may own the server's.
        return None


def _drawn(found: dict[str, Any]) -> str:
    parts = []
    for name, content in found.items():
        if isinstance(content, dict):
            pairs = (
                (k.removesuffix("_bytes"), size(v) if k.endswith("_bytes") and v is not None else v)
                for k, v in content.items()
            )
            parts.append(table(("folder", ""), pairs))
        elif content:
            parts.append(f"{name}\n" + table(list(content[0]), [list(row.values()) for row in content]))
        else:
            parts.append(f"{name}: none")
    return "\n\n".join(parts) + "\n"
