"""tidemill feeds: which instruments are recorded, and changing that while the system runs."""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
import typer

from core.errors import TransientError, UnknownName, UserError, VenueError
from core.instruments import Instrument
from core.records import Command, Kind, RecordBlock
from core.settings import FeedSettings
from dataflows.inbox import Inbox, wanted
from exchanges import history
from exchanges.budgets import Budgets
from exchanges.clients import rest_of
from exchanges.registry import venue as venue_named
from storage.data_folder import DataFolder, limits_path
from storage.journal import Doorbell, Journal
from tidemill.configuration import configured
from tidemill.feeds import Recorded, feed_for, known_feeds, listed, recording
from tidemill.folder import existing
from tidemill.tables import table, text

Action = Literal["list", "add", "remove"]
Outcome = Literal["recording", "removed", "refused", "unanswered", "next up", "no change"]

_VERBS: dict[str, Literal["subscribe", "unsubscribe"]] = {"add": "subscribe", "remove": "unsubscribe"}
_VENUE_SECONDS = 3.0
_ANSWER_SECONDS = 10.0
_BLOCK_RECORDS = 65_536
_FAILED = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Done(msgspec.Struct, frozen=True):
    """Say what became of one instrument, and why where it was refused."""

    instrument: str
    feed: str
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    feed: FeedSettings
    instrument: Instrument


def feeds(
    ctx: typer.Context,
    action: Annotated[Action, typer.Argument(help="What to do.")] = "list",
    instruments: Annotated[
        list[str] | None, typer.Argument(metavar="INSTRUMENT", help="Such as binance:SOL-USDT.")
    ] = None,
    feed: Annotated[str | None, typer.Option(help="The feed, where several could take the instrument.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array, for scripts.")] = False,
) -> None:
    """List the feeds and their instruments; add instruments to the running system, or remove them.

    What is added or removed stays so after a restart. Without a running system it counts from the next
    `tidemill up` on. Exit code 1: the recorder has refused an instrument.

    Example: tidemill feeds add binance:SOL-USDT binance:XRP-USDT
    """
    settings = configured(ctx)
    folder = existing(settings.data)
    known = known_feeds(settings, folder)
    names = list(dict.fromkeys(instruments or ()))
    with Inbox(folder) as inbox:
        commands = [command for _, command in inbox.read(-1)]
        if action == "list":
            chosen = _chosen(known, feed)
            _write(listed(chosen, folder, commands), names, as_json)
            return
        if not names:
            raise UserError(f"say which instruments to {action}: tidemill feeds {action} binance:SOL-USDT")
        asked = [_Asked(feed_for(one, known, feed), one) for one in map(Instrument.parse, names)]
        if action == "add":
            asyncio.run(_check(_new(asked, commands), Budgets(limits_path(settings, folder))))
        act = _add if action == "add" else _remove
        done = act(asked, commands, inbox, folder)
    _report(done, as_json)
    if any(one.outcome == "refused" for one in done):
        raise typer.Exit(_FAILED)


def _chosen(known: dict[str, FeedSettings], named: str | None) -> list[FeedSettings]:
    if named is not None and named not in known:
        raise UnknownName("feed", named, known)
    return [feed for name, feed in known.items() if named in (None, name)]


def _new(asked: Sequence[_Asked], commands: Sequence[Command]) -> list[_Asked]:
    return [one for one in asked if one.instrument.name not in wanted(one.feed, commands)]


def _add(asked: Sequence[_Asked], commands: Sequence[Command], inbox: Inbox, folder: DataFolder) -> list[Done]:
    new = _new(asked, commands)
    done = [Done(one.instrument.name, one.feed.name, "no change") for one in asked if one not in new]
    return done + _submit("add", new, inbox, folder)


def _remove(asked: Sequence[_Asked], commands: Sequence[Command], inbox: Inbox, folder: DataFolder) -> list[Done]:
    for one in asked:
        there = wanted(one.feed, commands)
        if one.instrument.name not in there:
            raise UserError(
                f"feed {one.feed.name!r} does not record {one.instrument.name}; it records "
                f"{', '.join(there[:20]) or 'nothing'}"
            )
    return _submit("remove", asked, inbox, folder)


async def _check(asked: Sequence[_Asked], budgets: Budgets) -> None:
    """Refuse what the venue does not list; a venue that cannot be asked now refuses nothing."""
    for feed in {one.feed.name: one.feed for one in asked}.values():
        venue = venue_named(feed.dialect, feed.websocket_url, feed.rest_url)
        rest = rest_of(venue, timeout=_VENUE_SECONDS, budgets=budgets)
        try:
            async with asyncio.timeout(_VENUE_SECONDS):
                names = {one.name for one in await history.instruments(rest, venue)}
        except (TimeoutError, TransientError, VenueError) as error:
            why = text(str(error)) or f"no answer within {_VENUE_SECONDS:g} s"
            sys.stderr.write(f"{venue.name} could not be asked which instruments it has ({why}): not checked\n")
            continue
        finally:
            await rest.close()
        for one in asked:
            if one.feed.name == feed.name and one.instrument.name not in names:
                raise UnknownName(f"instrument of {venue.name}", one.instrument.name, sorted(names))


def _submit(action: Action, asked: Sequence[_Asked], inbox: Inbox, folder: DataFolder) -> list[Done]:
    if not asked:
        return []
    verb = _VERBS[action]
    done: list[Done] = []
    with Journal(folder.journal) as journal:
        for feed in {one.feed.name: one.feed for one in asked}.values():
            names = [one.instrument.name for one in asked if one.feed.name == feed.name]
            if not recording(folder, feed.name):
                for name in names:
                    inbox.submit(Command(verb, feed.name, {"instrument": name}))
                done += [Done(name, feed.name, "next up") for name in names]
                continue
            with journal.doorbell(feed.name) as bell:
                after = journal.last_offset(feed.name)
                offsets = {inbox.submit(Command(verb, feed.name, {"instrument": name})): name for name in names}
                answers = _answers(journal, feed.name, after, set(offsets), bell)
            done += [_done(action, name, feed.name, answers.get(offset)) for offset, name in offsets.items()]
    for one in done:
        if one.outcome == "refused" and action == "add":
            # Else every start would ask for it, and be refused, again.
            inbox.submit(Command("unsubscribe", one.feed, {"instrument": one.instrument}))
    return done


def _answers(journal: Journal, feed: str, after: int, offsets: set[int], bell: Doorbell) -> dict[int, Command]:
    """Wait for the recorder's copies of the commands in the feed's journal: they say that it has acted."""
    found: dict[int, Command] = {}
    deadline = time.monotonic() + _ANSWER_SECONDS
    while found.keys() != offsets and (left := deadline - time.monotonic()) > 0:
        block = journal.read(feed, after, _BLOCK_RECORDS)
        if block is None:
            bell.wait(left)
            continue
        after = block.last_offset
        found |= {offset: command for offset, command in _copies(block) if offset in offsets}
    return found


def _copies(block: RecordBlock) -> list[tuple[int, Command]]:
    found = []
    for row in (block.kinds == Kind.COMMAND).nonzero()[0].tolist():
        (record,) = block.slice(row, row + 1).records()
        command = msgspec.json.decode(record.payload, type=Command)
        found.append((int(command.values.get("offset", "-1")), command))
    return found


def _done(action: Action, name: str, feed: str, copy: Command | None) -> Done:
    if copy is None:
        return Done(name, feed, "unanswered")
    if "refused" in copy.values:
        return Done(name, feed, "refused", copy.values["refused"])
    return Done(name, feed, "recording" if action == "add" else "removed")


def _report(done: Sequence[Done], as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        return
    said = {
        "recording": "recording",
        "removed": "no longer recorded",
        "unanswered": f"asked for; the recorder has not answered within {_ANSWER_SECONDS:g} s: see `tidemill status`",
        "next up": "from the next `tidemill up` on",
        "no change": "no change: it was asked for before",
    }
    for one in done:
        what = f"refused: {text(one.why)}" if one.outcome == "refused" else said[one.outcome]
        sys.stdout.write(f"{one.instrument} (feed {one.feed}): {what}\n")


def _write(found: list[Recorded], names: Sequence[str], as_json: bool) -> None:
    if names:
        raise UserError("`feeds list` takes no instruments: say --feed NAME to see one feed")
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    columns = ("feed", "venue", "instrument", "by", "recording", "last offset", "last trade")
    lines = [
        (
            one.feed,
            one.venue,
            one.instrument,
            one.by,
            "yes" if one.recording else "no",
            one.last_offset,
            None if one.last_trade is None else _EPOCH + timedelta(microseconds=one.last_trade),
        )
        for one in found
    ]
    sys.stdout.write((table(columns, lines) if lines else "feeds: nothing is recorded") + "\n")
