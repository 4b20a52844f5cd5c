"""tidemill plan: what changed settings would do to the running system, before they do it."""

import json
import sys
from typing import Annotated, Any

import msgspec
import typer

from core.errors import TidemillError
from core.records import Command
from core.settings import FeedSettings, Settings
from dataflows.inbox import Inbox
from exchanges.registry import venue as venue_named
from storage.data_folder import DataFolder
from tidemill.chosen_feeds import chosen
from tidemill.configuration import configured
from tidemill.liveness import resolved, supervised
from tidemill.plan import Difference, Plan, Run, WarmUp, compare, warm_ups
from tidemill.query import catalog, rows
from tidemill.tables import size, table, text

_RUNNING = "SELECT id, strategy, instrument, timeframe, params FROM runs WHERE state = 'running'"
_STORED = "SELECT instrument, timeframe, count(*) AS candles FROM candles WHERE timeframe IN ({}) GROUP BY ALL"
_LEDGER = "ledger: instruments, instrument_changes, coverage, gaps, runs, signals"
_HOW = (
    "To apply it: end `tidemill up` (Ctrl-C) and start it again. "
    "Instruments alone need no restart: tidemill feeds add|remove."
)


def plan(
    ctx: typer.Context,
    feed: Annotated[list[str] | None, typer.Option(metavar="NAME", help="As it would be said to `up`.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare the settings with the running system: what would start, stop, warm up, be stored.

    Where nothing runs, the settings are compared with those of the last `tidemill up`. Nothing is changed.
    Instruments that `tidemill feeds` has added or removed stay so. Secrets are masked: that one has changed
    does not show.

    Example: tidemill plan --config changed.toml
    """
    settings = chosen(configured(ctx), feed or ())
    folder = DataFolder(settings.data)
    old, commands = (resolved(folder), _commands(folder)) if folder.exists else (None, [])
    running, stored, unknown = _known(settings, folder)
    found = compare(old, settings, commands, running)
    warm = warm_ups(found, stored)
    against = "nothing" if old is None else "running" if supervised(folder) else "last run"
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(_told(against, found, warm, settings, unknown)) + b"\n")
    else:
        sys.stdout.write(_drawn(against, found, warm, settings, unknown))


def _commands(folder: DataFolder) -> list[Command]:
    with Inbox(folder) as inbox:
        return [command for _, command in inbox.read(-1)]


def _known(settings: Settings, folder: DataFolder) -> tuple[list[Run], dict[tuple[str, str], int], str]:
    """Read which runs run and what the lake holds; where it cannot be asked, say why and go on without."""
    if not folder.exists:
        return [], {}, ""
    names = ", ".join(f"'{name}'" for name in sorted({"1m", *(one.timeframe for one in settings.strategies)}))
    try:
        with catalog(settings) as connection:
            running = [
                Run(**{**row, "params": json.dumps(json.loads(row["params"]), sort_keys=True, separators=(",", ":"))})
                for row in rows(connection, _RUNNING)
            ]
            counted = rows(connection, _STORED.format(names))
    except TidemillError as error:
        return [], {}, str(error)
    return running, {(row["instrument"], row["timeframe"]): row["candles"] for row in counted}, ""


def _told(against: str, plan: Plan, warm: tuple[WarmUp, ...], settings: Settings, unknown: str) -> dict[str, Any]:
    return {
        "compared_with": against,
        "nothing_to_do": plan.empty,
        "plan": plan,
        "warm_up": warm,
        "store": _store(plan, settings),
        "unknown": unknown or None,
    }


def _store(plan: Plan, settings: Settings) -> dict[str, Any]:
    return {
        "journal_bytes_at_most": len(settings.feeds) * settings.journal.max_bytes,
        "instruments": [name for _, name in plan.instruments.start],
        "tables": _tables(plan, settings) if plan.instruments.start else (),
    }


def _tables(plan: Plan, settings: Settings) -> tuple[str, ...]:
    """Name the tables that the channels of the feeds with new instruments fill."""
    starting = {feed for feed, _ in plan.instruments.start}
    channels = {channel for feed in settings.feeds if feed.name in starting for channel in _channels(feed)}
    lake = ["trades", "candles (1s, 1m)"] if channels & {"trade", "aggregate"} else []
    lake += [table for channel, table in (("quote", "quotes"), ("mark_price", "mark_prices")) if channel in channels]
    if any(channel.startswith("kline_") for channel in channels):
        lake.append("venue_candles")
    return f"lake: {', '.join(lake)}", _LEDGER


def _channels(feed: FeedSettings) -> tuple[str, ...]:
    return feed.channels or (venue_named(feed.dialect, feed.websocket_url, feed.rest_url).trade_channel,)


def _drawn(against: str, plan: Plan, warm: tuple[WarmUp, ...], settings: Settings, unknown: str) -> str:
    head = {
        "nothing": "Nothing has run on this data folder yet: `tidemill up` would start all of this.",
        "running": "Compared with the running system:",
        "last run": "Nothing runs; compared with the last `tidemill up`:",
    }[against]
    if plan.empty:
        return f"{head}\nnothing to do: the settings are those that it has.\n"
    parts = [head]
    for title, difference in (
        ("components", plan.components),
        ("feeds", plan.feeds),
        ("instruments", plan.instruments),
        ("runs", plan.runs),
        ("timeframes", plan.timeframes),
    ):
        if difference:
            parts.append(f"{title}\n" + "\n".join(_lines(difference)))
    if warm:
        parts.append("warm-up (candles)\n" + _warm(warm))
    if plan.instruments.start:
        parts.append("stored\n" + _kept(_store(plan, settings)))
    if plan.settings:
        changed = [(one.setting, _value(one.old), _value(one.new)) for one in plan.settings]
        parts.append("settings\n" + table(("setting", "was", "becomes"), changed))
    if unknown:
        parts.append(f"not known: which runs run and what the lake holds ({text(unknown)})")
    if against == "running":
        parts.append(_HOW)
    return "\n\n".join(parts) + "\n"


def _lines(difference: Difference) -> list[str]:
    return [f"  + {_name(one)}" for one in difference.start] + [f"  - {_name(one)}" for one in difference.stop]


def _name(one: Any) -> str:
    if isinstance(one, Run):
        return f"{one.id}  {one.strategy} {one.timeframe} on {one.instrument} {one.params}"
    if isinstance(one, tuple):
        feed, instrument = one
        return f"{instrument} (feed {feed})"
    return text(one)


def _warm(warm: tuple[WarmUp, ...]) -> str:
    columns = ("run", "instrument", "timeframe", "wanted", "from the lake", "from the venue", "missing")
    return table(
        columns,
        [(w.run.id, w.run.instrument, w.run.timeframe, w.wanted, w.lake, w.venue, w.missing) for w in warm],
    )


def _kept(store: dict[str, Any]) -> str:
    bound = f"  journal: at most {size(store['journal_bytes_at_most'])} in all"
    return "\n".join([bound, *(f"  {line}" for line in store["tables"])])


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    return " ".join(map(str, value)) if isinstance(value, tuple) else text(value)
