"""tidemill status: what runs and how it is, what is stored, how far it got, what is not proven."""

import sys
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path
from threading import Thread
from typing import Annotated, Any

import msgspec
import typer

from core.errors import TidemillError, TransientError, UserError
from core.settings import Settings
from storage.data_folder import DataFolder, limits_path
from storage.journal import Journal
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve
from tidemill.configuration import configured
from tidemill.folder import existing
from tidemill.liveness import Component, components, lags, needed, resolved
from tidemill.query import catalog, rows
from tidemill.tables import size, table, text
from tidemill.venue_state import clocks, hosts

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
    WITH m AS (
        SELECT instrument, CAST(start AS DATE) AS day, count(*) AS minutes, count(*) FILTER (complete) AS complete
        FROM candles WHERE timeframe = '1m' GROUP BY ALL
    )
    SELECT instrument, id_space, day, coalesce(minutes, 0) AS minutes, coalesce(complete, 0) AS complete_minutes,
           floor(1e4 * proven) / 100 AS proven_percent, round(1e2 * repaired, 2) AS repaired_percent,
           ceil(1e4 * missing) / 100 AS missing_percent, gaps_open, gaps_unfillable,
           gaps_repaired, first, last
    FROM m FULL JOIN completeness USING (instrument, day) ORDER BY instrument, day, id_space"""


_SPARE = (
    *("id_space", "last", "first", "gaps_repaired", "complete_minutes", "gaps_unfillable", "last_signal"),
    *("pid", "address", "up", "memory"),
)
"""What a narrow terminal does not show, the first ones first; --json has all."""

_UNSOUND = 1
_PATIENCE_SECONDS = 3.0
_WIDEST_WHY = 400


def status(
    ctx: typer.Context,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="For each instrument and day: which share of it is proven.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="End with exit code 1 where a component is degraded or down.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what runs and how it is, what is stored, how far it got, and what is not proven.

    Each component is healthy, degraded (it works, but not as it should) or down, and why. The exit code is 0
    whatever they are, unless --check asks. Where the ledger is away, the components are shown all the same.

    Example: tidemill status --check
    """
    settings = configured(ctx)
    folder = existing(settings.data)
    if coverage:
        with catalog(settings) as connection:
            _write({"coverage": rows(connection, _COVERAGE)}, as_json)
        return
    run_with = _running(folder) or settings
    shown = components(folder, needed(run_with))
    if not any(one.running for one in shown):
        # Nothing else is to be told of a folder that cannot be used.
        folder.prepare()
    found: dict[str, Any] = {"components": shown, "lag": _lag(folder, shown)}
    found |= {"clocks": clocks(shown), "breakers": hosts(limits_path(run_with, folder))}
    try:
        if any(one.name == "ledger" and one.running for one in shown):
            _refuse_silent_server(settings, folder)
        found |= _stored(settings, folder)
    except TidemillError as error:
        found |= {"stored": None, "why": ctx.obj.redact(str(error)), "feeds": _feeds(folder, None)}
    if not any(one.name == "market" and one.running for one in shown):
        for run in found.get("runs", ()):
            # Stopped with the system: it goes on with the next start.
            run["state"] = "idle" if run["state"] == "running" else run["state"]
    _write(found, as_json)
    if check and any(one.state != "healthy" for one in shown):
        raise typer.Exit(_UNSOUND)


def _running(folder: DataFolder) -> Settings | None:
    try:
        return resolved(folder)
    except UserError:
        # Of another version: what runs says so itself.
        return None


def _lag(folder: DataFolder, shown: list[Component]) -> list[dict[str, Any]]:
    if not any(one.name == "market" and one.figures for one in shown):
        # It has not answered once: a second question only takes time.
        return []
    return [
        {"feed": feed, **{k: round(v, 3) if isinstance(v, float) else v for k, v in lag.items()}}
        for feed, lag in sorted(lags(folder).items())
    ]


def _refuse_silent_server(settings: Settings, folder: DataFolder) -> None:
    """Raise `TransientError` where the ledger's server does not answer soon: one that hangs must not hang us."""
    answer: Future[None] = Future()

    def ask() -> None:
        try:
            with serve(settings, folder) as address, Ledger(address) as ledger:
                ledger.ping()
            answer.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            answer.set_exception(error)

    Thread(target=ask, name="ledger", daemon=True).start()
    try:
        answer.result(_PATIENCE_SECONDS)
    except TimeoutError:
        raise TransientError(f"the ledger's server does not answer within {_PATIENCE_SECONDS:.0f} s") from None


def _stored(settings: Settings, folder: DataFolder) -> dict[str, Any]:
    with catalog(settings) as connection:
        offsets = {row["feed"]: row["lake_offset"] for row in rows(connection, _FEEDS)}
        return {
            "folder": _folder(settings, folder),
            "feeds": _feeds(folder, offsets),
            **{name: rows(connection, query) for name, query in _QUERIES.items()},
        }


def _write(found: dict[str, Any], as_json: bool) -> None:
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


def _feeds(folder: DataFolder, lake_offsets: dict[str, int] | None) -> list[dict[str, Any]]:
    with Journal(folder.journal) as journal:
        last = {feed: journal.last_offset(feed) for feed in journal.feeds()}
    return [
        {
            "feed": feed,
            "journal_offset": last.get(feed, -1),
            "lake_offset": None if lake_offsets is None else lake_offsets.get(feed, -1),
            "lag": None if lake_offsets is None else max(0, last.get(feed, -1) - lake_offsets.get(feed, -1)),
        }
        for feed in sorted(last.keys() | (lake_offsets or {}).keys())
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
        if name == "components":
            parts.append(_lively(content))
        elif name == "breakers":
            content = [row for row in content if row["state"] != "closed"]
            parts += [_rows(name, content)] if content else []
        elif name in ("stored", "why"):
            parts += [f"stored: cannot be read now: {text(content)}"] if name == "why" else []
        elif isinstance(content, dict):
            pairs = (
                (k.removesuffix("_bytes"), size(v) if k.endswith("_bytes") and v is not None else v)
                for k, v in content.items()
            )
            parts.append(table(("folder", ""), pairs))
        elif content:
            parts.append(_rows(name, content))
        elif name not in ("lag", "clocks"):
            parts.append(f"{name}: none")
    return "\n\n".join(parts) + "\n"


def _rows(name: str, content: list[dict[str, Any]]) -> str:
    return f"{name}\n" + table(list(content[0]), [list(row.values()) for row in content], spare=_SPARE)


def _lively(shown: list[Component]) -> str:
    if all(one.why == ("not running",) for one in shown):
        return "components: not running; `tidemill up` starts them"
    columns = ("component", "state", "up", "pid", "memory", "restarts", "address", "why")
    return table(
        columns,
        [
            (
                one.name,
                one.state,
                "" if one.uptime_s is None else _age(one.uptime_s),
                one.pid,
                "" if one.rss_bytes is None else size(one.rss_bytes),
                one.restarts,
                one.address,
                "; ".join(one.why),
            )
            for one in shown
        ],
        spare=_SPARE,
        widest=_WIDEST_WHY,
    )


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
