"""The market on the screen: a row an instrument, as many columns as the width allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from tidemill.figures import Digits, age, lag, number, percent, signed_percent
from tidemill.tables import text

_GAP = 2
_OHLC = ("open", "high", "low", "close")
_UP, _DOWN = "green", "red"
QUIET_SECONDS = 60.0
"""An instrument without a trade for longer is coloured; a quiet market is no fault: nothing else is said of it."""

FORMING, CLOSED = 8, 9
"""The ranks of the columns of the forming and of the last closed candle."""


@dataclass(frozen=True, slots=True)
class Column:
    """Hold one column; of two that do not both fit, the one with the lower ``rank`` stays."""

    head: str
    rank: int
    cells: Sequence[Text]
    right: bool = True

    @property
    def width(self) -> int:
        """Give the width of the widest cell."""
        return max(len(self.head), *(cell.cell_len for cell in self.cells), 0)


def columns(board: dict[str, Any], digits: Digits, candles: bool, brief: bool) -> list[Column]:
    """Give the columns of the market in the order in which they stand, with or without those of the 1m candles.

    ``brief`` writes the venue that all have in common once, above.
    """
    rows = board["instruments"]
    values = sorted({name for row in rows for name in row["values"]})
    return [
        _names("instrument", rows, brief),
        Column("last", 0, [_last(row, digits) for row in rows]),
        Column("move", 1, [_coloured(signed_percent(row["move"]), row["move"]) for row in rows]),
        *(_candle_columns(rows, "forming", "1m ", FORMING, digits) if candles else ()),
        *(_candle_columns(rows, "closed", "closed ", CLOSED, digits) if candles else ()),
        *(Column(name, 2, [Text(_value(row["values"].get(name))) for row in rows]) for name in values),
        Column("signal", 3, [_signal(row["signal"], board["at"]) for row in rows], right=False),
        Column("age", 4, [_age(row, board["at"]) for row in rows]),
        Column("trades/s", 5, [Text(f"{row['rate']:,.1f}") for row in rows]),
        Column("backlog", 7, [_backlog(board["feeds"].get(row["feed"])) for row in rows]),
        Column("complete", 6, [_complete(row["complete"]) for row in rows]),
    ]


def fitted(given: Sequence[Column], width: int) -> list[Column]:
    """Give the columns that fit; those of one rank fit or go together."""
    taken: set[int] = set()
    room = width + _GAP
    for rank in sorted({column.rank for column in given}):
        needed = sum(column.width + _GAP for column in given if column.rank == rank)
        if needed > room and rank > 0:
            break
        taken.add(rank)
        room -= needed
    return [column for column in given if column.rank in taken]


def drawn(given: Sequence[Column]) -> Table:
    """Draw columns."""
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for column in given:
        table.add_column(column.head, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis")
    for cells in zip(*(column.cells for column in given), strict=True):
        table.add_row(*cells)
    return table


def candle_rows(board: dict[str, Any], digits: Digits, brief: bool) -> list[Column]:
    """Give the forming and the last closed minute of each instrument, a row each: where a row of all is too wide."""
    rows = [(row, which) for row in board["instruments"] for which in ("forming", "closed") if row[which]]
    minutes = [Text(which if which == "forming" else _minute(row[which]["start"])) for row, which in rows]
    return [
        _names("1m candle", [row for row, _ in rows], brief),
        Column("minute", 0, minutes, right=False),
        _glyphs([row[which] for row, which in rows], 1),
        *(Column(name, 0, [_number(row, which, name, digits) for row, which in rows]) for name in _OHLC),
        Column("volume", 2, [_number(row, which, "volume", digits) for row, which in rows]),
        Column("trades", 3, [Text(f"{row[which]['trade_count']:,}") for row, which in rows]),
        Column("complete", 4, [Text(_yes(row[which], which), "yellow") for row, which in rows]),
    ]


def lines(board: dict[str, Any], digits: Digits) -> list[str]:
    """Give a plain line an instrument, for where no terminal is."""
    return [
        "  ".join(f"{name} {value}" if name else value for name, value in _parts(row, board, digits) if value)
        for row in board["instruments"]
    ]


def _names(head: str, rows: Sequence[dict[str, Any]], brief: bool) -> Column:
    names = [text(row["instrument"]) for row in rows]
    venues = {name.partition(":")[0] for name in names}
    if brief and len(venues) == 1:
        head, names = f"{venues.pop()}:", [name.partition(":")[2] for name in names]
    return Column(head, 0, [Text(name, "bold") for name in names], right=False)


def _parts(row: dict[str, Any], board: dict[str, Any], digits: Digits) -> list[tuple[str, str]]:
    candle = row["forming"]
    formed = " ".join(_number(row, "forming", name, digits).plain for name in (*_OHLC, "volume")) if candle else ""
    return [
        ("", text(row["instrument"])),
        ("", _last(row, digits).plain),
        ("", signed_percent(row["move"])),
        ("1m", formed),
        *((name, _value(value)) for name, value in sorted(row["values"].items())),
        ("signal", _signal(row["signal"], board["at"]).plain),
        ("", f"{row['rate']:.1f} trades/s"),
        ("age", _age(row, board["at"]).plain),
        ("backlog", _backlog(board["feeds"].get(row["feed"])).plain),
        ("complete", percent(row["complete"])),
    ]


def _candle_columns(
    rows: Sequence[dict[str, Any]], which: str, prefix: str, rank: int, digits: Digits
) -> list[Column]:
    names = (*_OHLC, "volume")
    heads = [f"{prefix}{name}" if name == "open" else name for name in names]
    numbers = [
        Column(head, rank, [_number(row, which, name, digits) for row in rows])
        for head, name in zip(heads, names, strict=True)
    ]
    return [_glyphs([row[which] for row in rows], rank), *numbers]


def _glyphs(candles: Sequence[dict[str, Any] | None], rank: int) -> Column:
    return Column("", rank, [_glyph(candle) for candle in candles], right=False)


def _glyph(candle: dict[str, Any] | None) -> Text:
    if not candle:
        return Text(" ")
    change = float(candle["close"]) - float(candle["open"])
    return _coloured("▲" if change > 0 else "▼" if change < 0 else "─", change)


def _number(row: dict[str, Any], which: str, name: str, digits: Digits) -> Text:
    candle, known = row[which], digits.volume if name == "volume" else digits.price
    if not candle:
        return Text("")
    style = "" if which == "forming" else "dim"
    return Text(number(candle[name], known.get(row["instrument"], 0)), style)


def _last(row: dict[str, Any], digits: Digits) -> Text:
    shown = number(row["price"], digits.price.get(row["instrument"], 0))
    return _coloured(shown, row["move"]) if row["move"] is not None else Text(shown)


def _coloured(shown: str, change: float | None) -> Text:
    return Text(shown, "" if not change else _UP if change > 0 else _DOWN)


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _signal(signal: dict[str, Any] | None, at: int) -> Text:
    if not signal:
        return Text("")
    side, target = text(signal["side"]), float(signal["target"])
    style = "dim" if not target else _UP if side == "long" else _DOWN
    return Text(f"{side} {target:g}, {age(at - signal['at'])}", style)


def _age(row: dict[str, Any], at: int) -> Text:
    if row["traded_at"] is None:
        return Text("")
    micros = at - row["traded_at"]
    return Text(age(micros), "yellow" if micros > QUIET_SECONDS * 1e6 else "")


def _backlog(feed: dict[str, Any] | None) -> Text:
    if feed is None:
        return Text("")
    seconds = float(feed["lag_seconds"])
    return Text(lag(seconds), "yellow" if seconds >= 1 else "")


def _complete(share: float | None) -> Text:
    return Text(percent(share), "yellow" if share is not None and share < 1 else "")


def _yes(candle: dict[str, Any], which: str) -> str:
    return "" if which == "forming" or candle.get("complete", True) else "no"


def _minute(start: int) -> str:
    return datetime.fromtimestamp(start / 1e6, UTC).strftime("%H:%M")
