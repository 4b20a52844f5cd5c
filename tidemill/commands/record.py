"""tidemill record: the recorder alone, in the foreground, into the journal."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from prometheus_client import CollectorRegistry

from core.errors import IntegrityError, TidemillError
from core.settings import FeedSettings, Settings
from dataflows.recorder.component import RecorderComponent
from storage.data_folder import DataFolder
from storage.journal import Journal
from storage.ledger.ledger import Ledger
from storage.ledger.schema import migrate
from storage.ledger.server import serve
from tidemill.chosen_feeds import chosen
from tidemill.configuration import configured
from tidemill.durations import seconds
from tidemill.status_line import status_line
from tidemill.stopping import stop_signals
from tidemill.tables import count, table, text

_EVERY_SECONDS = 1.0
_LEDGER_SECONDS = 8.0


def record(
    ctx: typer.Context,
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A feed of the settings, or a venue; default: all feeds of the settings."),
    ] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="60s", help="End by itself after this time (s, m, h).")
    ] = None,
) -> None:
    """Record feeds into the journal, and nothing else, until Ctrl-C or SIGTERM; the exit code is then 0.

    Everything that `tidemill up` does with a recording, it does later with this one too. What is absent is waited
    for: a venue, the network, room on the disk. A second recorder on a feed is refused.

    Example: tidemill record --feed binance --for 60s
    """
    settings = chosen(configured(ctx), feed or ())
    feeds = settings.feeds
    limit = None if length is None else seconds(length, "--for")
    folder = DataFolder(settings.data)
    folder.prepare()
    before = _offsets(folder, feeds)
    stop, registry = threading.Event(), CollectorRegistry()
    registration = _Registration(settings, folder, feeds, stop, ctx.obj.redact)
    component = RecorderComponent(settings, registry, feeds)
    with stop_signals(lambda number: stop.set()), _timer(limit, stop), _watched(component, registry, feeds):
        # The ledger is told beside it, not before: what passes meanwhile cannot be asked for again.
        component.run(stop, registration.start)
    registration.settle()
    sys.stdout.write(_summary(registry, feeds, before, _offsets(folder, feeds)) + "\n")


def _offsets(folder: DataFolder, feeds: Sequence[FeedSettings]) -> dict[str, int]:
    with Journal(folder.journal) as journal:
        return {feed.name: journal.last_offset(feed.name) for feed in feeds}


@contextmanager
def _timer(limit: float | None, stop: threading.Event) -> Iterator[None]:
    if limit is None:
        yield
        return
    timer = threading.Timer(limit, stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Registration:
    """Tells the ledger of the feeds, in a thread: it may be slow, away or broken, and the recording goes on."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        feeds: Sequence[FeedSettings],
        stop: threading.Event,
        redact: Callable[[str], str],
    ) -> None:
        self._settings, self._folder, self._feeds = settings, folder, feeds
        self._stop, self._redact = stop, redact
        self._contradiction: IntegrityError | None = None
        self._thread = threading.Thread(target=self._run, name="registration", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def settle(self) -> None:
        """Raise where a feed holds another venue's frames."""
        if self._thread.ident is not None:
            self._thread.join(_LEDGER_SECONDS)
            if self._thread.is_alive():
                self._warn("it does not answer")
        if self._contradiction is not None:
            raise self._contradiction

    def _run(self) -> None:
        try:
            with serve(self._settings, self._folder) as address:
                migrate(address)
                with Ledger(address) as ledger:
                    for feed in self._feeds:
                        ledger.register_feed(feed.name, feed.dialect)
        except IntegrityError as error:
            self._contradiction = error
            self._stop.set()
        except TidemillError as error:
            self._warn(str(error))

    def _warn(self, why: str) -> None:
        names = ", ".join(feed.name for feed in self._feeds)
        line = f"the ledger was not told of {names} ({self._redact(text(why))}): `tidemill up` will tell it"
        sys.stderr.write(f"tidemill: {line}\n")


@contextmanager
def _watched(
    component: RecorderComponent, registry: CollectorRegistry, feeds: Sequence[FeedSettings]
) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        with status_line() as show:
            then, seen = time.monotonic(), dict.fromkeys((feed.name for feed in feeds), 0)
            while not over.wait(_EVERY_SECONDS):
                now, trades = time.monotonic(), {name: _value(registry, "trades_total", name) for name in seen}
                figures = component.health()
                show(
                    " | ".join(_line(registry, name, (trades[name] - seen[name]) / (now - then)) for name in seen)
                    + (f" | {'; '.join(figures.why)}" if figures.why else "")
                )
                then, seen = now, trades

    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _line(registry: CollectorRegistry, feed: str, rate: float) -> str:
    connected = "connected" if _value(registry, "connections", feed) else "not connected"
    frames = count(_value(registry, "frames_total", feed))
    return f"{feed}: {frames} frames, {rate:.1f} trades/s, offset {count(_offset(registry, feed))}, {connected}"


def _summary(
    registry: CollectorRegistry, feeds: Sequence[FeedSettings], before: dict[str, int], after: dict[str, int]
) -> str:
    columns = ("feed", "frames", "trades", "reconnects", "holes left", "first offset", "last offset")
    rows: list[tuple[Any, ...]] = []
    for name in (feed.name for feed in feeds):
        new = after[name] > before[name]
        rows.append(
            (
                name,
                _value(registry, "frames_total", name),
                _value(registry, "trades_total", name),
                max(0, _value(registry, "connects_total", name) - 1),
                _value(registry, "left_holes_total", name),
                before[name] + 1 if new else None,
                after[name] if new else None,
            )
        )
    return table(columns, rows)


def _offset(registry: CollectorRegistry, feed: str) -> int:
    return _value(registry, "last_offset", feed)


def _value(registry: CollectorRegistry, name: str, feed: str) -> int:
    return int(registry.get_sample_value(f"tidemill_recorder_{name}", {"feed": feed}) or 0)
