"""What `tidemill up` shows: a table that is drawn again and again on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import wrap

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from tidemill.figures import Digits, age
from tidemill.market_view import CLOSED, candle_rows, columns, drawn, fitted, lines
from tidemill.observer import Observed
from tidemill.system_view import (
    addresses,
    clock,
    component_lines,
    component_table,
    event_lines,
    phase,
    troubles,
)
from tidemill.tables import text

LINES_SECONDS = 10.0
"""How often plain lines are written."""

_WIDE = 110
_EVENTS = 5


@dataclass(slots=True)
class LiveTable:
    """Lay out what was observed for a screen.

    ``places`` are named addresses; ``started`` is when the system was started (µs since the epoch, UTC).
    """

    places: Sequence[tuple[str, str]]
    started: int
    digits: Digits = field(default_factory=Digits)

    def laid_out(self, observed: Observed, width: int, height: int) -> RenderableType:
        """Give what fits into ``width`` columns and ``height`` lines: the market first, then the system."""
        room = height - 2
        parts: list[RenderableType] = [self._title(observed), Text()]
        least = len(component_lines(observed, width)) + 1
        market, used = self._market(observed, width, room - least)
        parts += market
        room -= used
        system, used = self._system(observed, width, room)
        parts += system
        room -= used
        if len(self.places) < room:
            parts += [Text(), addresses(self.places)]
            room -= len(self.places) + 1
        events = event_lines(observed, min(_EVENTS, room - 1))
        if events:
            parts += [Text(), *events]
        return Group(*parts)

    def _title(self, observed: Observed) -> Text:
        now = phase(observed)
        title = Text("Tidemill", "bold", no_wrap=True, overflow="ellipsis")
        title.append(f"  {clock(observed.at)} UTC  up {age(observed.at - self.started)}  ", "not bold")
        if now:
            return title.append(now, "not bold yellow")
        wrong = [f"{one.name} {one.state}" for one in observed.components if one.state != "healthy"]
        return title.append(", ".join(wrong) or "healthy", f"not bold {'yellow' if wrong else 'green'}")

    def _market(self, observed: Observed, width: int, room: int) -> tuple[list[RenderableType], int]:
        board = observed.board
        if board is None or not board["instruments"]:
            return [], 0
        for row in board["instruments"]:
            self.digits.see(row)
        shown = board["instruments"][: max(1, room - 3)]
        cut = {**board, "instruments": shown}
        brief = width < _WIDE
        taken = fitted(columns(cut, self.digits, candles=True, brief=brief), width)
        candles: list[RenderableType] = []
        used = len(shown) + 1
        stacked = candle_rows(cut, self.digits, brief)
        below = len(stacked[0].cells) + 2
        if CLOSED not in {column.rank for column in taken} and below > 2 and used + below <= room:
            taken = fitted(columns(cut, self.digits, candles=False, brief=brief), width)
            candles = [Text(), drawn(fitted(stacked, width))]
            used += below
        parts: list[RenderableType] = [drawn(taken)]
        if len(shown) < len(board["instruments"]):
            parts.append(Text(f"… and {len(board['instruments']) - len(shown)} more", "dim"))
            used += 1
        return [*parts, *candles], used

    def _system(self, observed: Observed, width: int, room: int) -> tuple[list[RenderableType], int]:
        if not observed.components:
            return [], 0
        if width >= _WIDE and len(observed.components) + 3 <= room:
            table, used = component_table(observed, width, room - len(observed.components) - 3)
            return [Text(), table], used + 1
        line = component_lines(observed, width)
        rows = len(line)
        left, found = max(0, room - rows - 1), troubles(observed)
        folded = [part for why in found for part in wrap(why, width)]
        wrong = [
            Text(why, "yellow", no_wrap=True, overflow="ellipsis")
            for why in (folded if len(folded) <= left else found[:left])
        ]
        return [Text(), *line, *wrong], rows + 1 + len(wrong)


@dataclass(slots=True)
class PlainLines:
    """Write what was observed as lines, every ten seconds, and each event once."""

    write: Callable[[str], object]
    digits: Digits = field(default_factory=Digits)
    every: float = LINES_SECONDS
    _next: float = 0.0
    _told: int = -1
    _phase: str = ""

    def show(self, observed: Observed) -> None:
        """Write what is new."""
        for event in observed.events:
            if event.at > self._told:
                self._told = event.at
                self.write(f"{clock(event.at)}  {text(event.text)}\n")
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.every
        stage = phase(observed)
        for line in [*([stage] if stage else []), *troubles(observed), *self._market(observed)]:
            self.write(f"{clock(observed.at)}  {line}\n")

    def _market(self, observed: Observed) -> list[str]:
        if observed.board is None:
            return []
        for row in observed.board["instruments"]:
            self.digits.see(row)
        return lines(observed.board, self.digits)


@contextmanager
def shown(plain: bool, places: Sequence[tuple[str, str]], started: int) -> Iterator[Callable[[Observed], None]]:
    """Show what is observed while the block runs: a table on a terminal, lines elsewhere or where ``plain``.

    The table has the screen to itself; at the end it stays above the prompt as it was last.
    """
    if plain or not sys.stdout.isatty():
        yield _lines(places)
        return
    console = Console()
    table = LiveTable(places, started)
    last: Observed | None = None
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(observed: Observed) -> None:
            nonlocal last
            last = observed
            live.update(table.laid_out(observed, console.width, console.height), refresh=True)

        yield show
    if last is not None:
        console.print(table.laid_out(last, console.width, 60))


def _lines(places: Sequence[tuple[str, str]]) -> Callable[[Observed], None]:
    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    for name, value in places:
        write(f"{name}: {value}\n")
    return PlainLines(write).show
