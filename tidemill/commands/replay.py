"""tidemill replay: recordings through the same path as the live market."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from core.errors import UserError
from dataflows.replay import Progress, Summary
from dataflows.replay import replay as run
from tidemill.configuration import configured
from tidemill.stopping import refuse_stopped
from tidemill.tables import count, table
from tidemill.terminal import Report, progress


def replay(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="In any order; plain or gzip.")],
    venue: Annotated[str | None, typer.Option(help="The files hold frames of this venue, one a line.")] = None,
    instrument: Annotated[
        str | None, typer.Option(help="The files hold trades of this instrument (Parquet, CSV).")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="1 keeps the time of the recording, 10 is ten times as fast.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Send recorded frames or trades through the live path into the lake, as fast as it goes.

    What was stored before is not stored again: the same files can be replayed, in any order, after a crash too.

    Example: tidemill replay recording.ws.gz --venue binance
    """
    if venue is not None and instrument is not None:
        raise UserError("give one of --venue NAME for frames and --instrument NAME for trades, not both")
    if venue is None and instrument is None:
        raise UserError("say what the files hold: --venue NAME for frames, or --instrument NAME for trades")
    if speed is not None and not 0 < speed < float("inf"):
        raise UserError(f"--speed {speed:g} is no speed: give a number above 0, or leave it out")
    settings = configured(ctx)
    with progress() as report:
        summary = run(settings, files, venue=venue, instrument=instrument, speed=speed, on_progress=watched(report))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(summary.as_json()) + b"\n")
    else:
        sys.stdout.write(drawn("replay", summary))


def watched(report: Report) -> Callable[[Progress], None]:
    """Show the progress of a replay."""

    def show(progress: Progress) -> None:
        refuse_stopped()
        report(progress.done, progress.total, f"{progress.stage}, {count(progress.trades)} trades")

    return show


def drawn(title: str, summary: Summary) -> str:
    """Draw a summary; where nothing was new, say so."""
    known = "" if summary.stored or not summary.duplicates else "Nothing was new: all of it had been stored before.\n"
    return f"{table((title, ''), summary.rows())}\n{known}"
