"""tidemill repair: what is missing in the past, asked for again."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import typer

from core.continuity_in_time import SPACE
from core.settings import Settings
from dataflows.repair import GapRepair, Progress, RepairSummary
from dataflows.repair import repair as run
from storage.data_folder import DataFolder
from tidemill.configuration import configured
from tidemill.endpoint import HOST
from tidemill.feeds import known_feeds
from tidemill.folder import existing
from tidemill.liveness import resolved, served_here, supervised
from tidemill.stopping import refuse_stopped
from tidemill.tables import count, table
from tidemill.terminal import Report, progress

_FAILED = 1
_SHOWN = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def repair(
    ctx: typer.Context,
    instruments: Annotated[
        list[str] | None, typer.Argument(metavar="[INSTRUMENT]...", help="Only these; default: all that have gaps.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Ask again for what a venue did not have before, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fetch what open gaps miss from the venues, the oldest first, and store it.

    Works while `tidemill up` runs and while it does not; what was fetched before is not stored again. A gap is
    repaired, or unfillable where the venue does not have it any more; it stays open where the recorder is still at
    it, and, with exit code 1, where the venue does not answer, or where the recorder was stopped at it: what the last
    minute before the end misses comes with the next `tidemill up`.

    Example: tidemill repair okx:BTC-USDT
    """
    settings = configured(ctx)
    folder = existing(settings.data)
    with progress() as report:
        summary = run(
            _as_running(settings, folder),
            instruments=instruments or None,
            unfillable=every,
            on_progress=_watched(report),
        )
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(_plain(summary)) + b"\n")
    else:
        sys.stdout.write(_drawn(summary))
    if summary.left:
        raise typer.Exit(_FAILED)


def _as_running(settings: Settings, folder: DataFolder) -> Settings:
    """Give the settings with the feeds as they run; the exchange on this machine at the port that it listens on."""
    started = resolved(folder) if supervised(folder) else None
    port = (started or settings).simulator.port
    here = {"rest_url": f"http://{HOST}:{port}"} if port else {}
    feeds = (
        feed.model_copy(update=here) if served_here(feed) else feed for feed in known_feeds(settings, folder).values()
    )
    return settings.model_copy(update={"feeds": tuple(feeds)})


def _watched(report: Report) -> Any:
    def show(progress: Progress) -> None:
        refuse_stopped()
        report(progress.done, progress.total, f"{progress.instrument}, {count(progress.trades)} trades")

    return show


def _plain(summary: RepairSummary) -> dict[str, Any]:
    return {
        "gaps": [one.as_json() for one in summary.gaps],
        "repaired": summary.count("repaired"),
        "unfillable": summary.count("unfillable"),
        "recent": summary.count("recent"),
        "left": summary.left,
        "trades": summary.trades,
        "candles_revised": summary.revised,
        "seconds": round(summary.seconds, 3),
    }


def _drawn(summary: RepairSummary) -> str:
    if not summary.gaps:
        return "nothing to repair: no gap is open\n"
    columns = ("instrument", "from", "to", "became", "trades", "missing", "why")
    parts = [table(columns, _rows(summary.gaps[:_SHOWN]))]
    if len(summary.gaps) > _SHOWN:
        parts.append(f"(the first {_SHOWN} of {count(len(summary.gaps))} gaps: --json gives all)")
    said = {
        "repaired": summary.count("repaired"),
        "unfillable": summary.count("unfillable"),
        "left to the recorder": summary.count("recent"),
        "still open": summary.left,
    }
    counts = ", ".join(f"{count(number)} {what}" for what, number in said.items() if number)
    candles = (
        "the reviser folds the candles" if summary.revised is None else f"{count(summary.revised)} candles revised"
    )
    parts.append(f"{counts}; {count(summary.trades)} trades stored, {candles}")
    return "\n".join(parts) + "\n"


def _rows(gaps: Sequence[GapRepair]) -> list[tuple[Any, ...]]:
    return [
        (
            one.gap.instrument,
            _EPOCH + timedelta(microseconds=one.gap.after_ts),
            _EPOCH + timedelta(microseconds=one.gap.before_ts),
            "open" if one.outcome in ("recent", "unrecorded", "busy", "unanswered") else one.outcome,
            one.trades,
            _missing(one),
            one.why,
        )
        for one in gaps
    ]


def _missing(one: GapRepair) -> str:
    """Say how much is missing: trades where ids chain, else how long it is not known whether there were any."""
    if not one.gap.missing:
        return ""
    return f"{one.gap.missing / 1e6:.3f} s" if one.gap.id_space == SPACE else count(one.gap.missing)
