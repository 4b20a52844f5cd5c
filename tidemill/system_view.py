"""The system on the screen: its components, what happened to them, where they answer, what to do next."""

from collections.abc import Sequence
from datetime import UTC, datetime
from textwrap import wrap
from typing import Any

from rich.table import Table
from rich.text import Text

from core.timeframes import MINUTE
from tidemill.child import ChildState
from tidemill.figures import age
from tidemill.liveness import Component
from tidemill.observer import Observed
from tidemill.tables import size, text

_STYLES = {"healthy": "green", "degraded": "yellow", "down": "red"}
_SECOND = 1_000_000
_GAP = 2


def clock(at: int) -> str:
    """Write a time of day, UTC."""
    return datetime.fromtimestamp(at / _SECOND, UTC).strftime("%H:%M:%S")


def component_table(observed: Observed, width: int, spare: int) -> tuple[Table, int]:
    """Draw a row a component: state, restarts, memory, why; give the table and how many lines it takes.

    Of ``width`` columns the reason has what the others leave; it may take ``spare`` lines more than one a component.
    """
    children = {child.name: child for child in observed.children}
    rows = []
    for one in observed.components:
        child = children.get(one.name)
        state, style = _state(one, child)
        cells = (
            one.name,
            state,
            age((one.uptime_s or 0) * _SECOND) if one.running else "",
            str(child.restarts) if child else "",
            size(one.rss_bytes) if one.rss_bytes else "",
        )
        rows.append((cells, _why(one, child, observed.at), style))
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    left = width
    for place, (head, right) in enumerate(
        (("component", 0), ("state", 0), ("up", 1), ("restarts", 1), ("memory", 1))
    ):
        widest = max([len(head), *(len(cells[place]) for cells, _, _ in rows)])
        table.add_column(head, justify="right" if right else "left", no_wrap=True, min_width=widest)
        left -= widest + _GAP
    table.add_column("why", no_wrap=True, overflow="ellipsis", max_width=max(1, left))
    lines = 1
    for cells, why, style in rows:
        folded = wrap(why, max(1, left), max_lines=1 + max(0, spare), placeholder=" …") or [""]
        spare -= len(folded) - 1
        lines += len(folded)
        name, state, *figures = cells
        reason = Text("\n".join(folded), style if style != "green" else "")
        table.add_row(Text(name), Text(state, style), *figures, reason)
    return table, lines


def component_lines(observed: Observed, width: int) -> list[Text]:
    """Draw all components in as few lines as the width allows: for a small screen."""
    lines = [Text()]
    children = {child.name: child for child in observed.children}
    for one in observed.components:
        child = children.get(one.name)
        state, style = _state(one, child)
        part = Text.assemble(("● ", style), one.name)
        if style != "green":
            part.append(f" {state}", style)
        if child and child.restarts:
            part.append(f" {child.restarts}×", "yellow")
        if lines[-1].cell_len and lines[-1].cell_len + part.cell_len > width:
            lines.append(Text())
        lines[-1].append_text(part).append("  ")
    for line in lines:
        line.rstrip()
    return lines


def troubles(observed: Observed) -> list[str]:
    """Say in a line each which component is not healthy, and why."""
    children = {child.name: child for child in observed.children}
    found = []
    for one in observed.components:
        state, style = _state(one, children.get(one.name))
        if style != "green":
            found.append(f"{one.name} {state}: {_why(one, children.get(one.name), observed.at)}".rstrip(": "))
    return found


def phase(observed: Observed) -> str:
    """Say what goes on as long as there is not everything to show; empty when there is."""
    board = observed.board
    if not observed.components:
        return "starting the components"
    if board is None:
        late = [one for one in observed.components if one.state != "healthy"]
        return f"waiting for {late[0].name}: {'; '.join(late[0].why)}" if late else "waiting for the market dataflow"
    if not any(row["price"] for row in board["instruments"]):
        return "waiting for the first trade"
    if not any(row["closed"] for row in board["instruments"]):
        left = (MINUTE - observed.at % MINUTE) // _SECOND
        return f"recording; the first 1m candle closes in {left} s"
    return ""


def event_lines(observed: Observed, count: int) -> list[Text]:
    """Draw what happened last, at most ``count`` lines, the newest last."""
    newest = list(observed.events)[-count:] if count > 0 else []
    return [
        Text(f"{clock(event.at)}  {text(event.text)}", "dim", no_wrap=True, overflow="ellipsis") for event in newest
    ]


def _state(one: Component, child: ChildState | None) -> tuple[str, str]:
    if child is not None and child.looping:
        return "crash loop", "red"
    if child is not None and child.state == "waiting":
        return "restarting", "yellow"
    if child is not None and child.state == "running" and not one.running:
        return "starting", "yellow"
    return one.state, _STYLES[one.state]


def _why(one: Component, child: ChildState | None, at: int) -> str:
    if child is not None and child.exits and (child.looping or child.state == "waiting"):
        again = f", again in {age((child.again_at or at) - at)}" if child.state == "waiting" else ""
        return text(f"{child.exits[-1]}{again}")
    return text("; ".join(one.why)) if one.running or child is None else ""


def addresses(lines: Sequence[tuple[str, Any]]) -> Table:
    """Draw names and where they lead."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, value in lines:
        table.add_row(name, Text(text(value)))
    return table
