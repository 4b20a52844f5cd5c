"""Tables as plain text: aligned, safe for a terminal, fast for thousands of rows."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any, TextIO

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDEST = 80
_LONGEST_WORD = 24
"""Words up to this length are not broken."""

_LEGIBLE = 12
"""No text is folded to less than this."""

_GAP = 2
_WORDS = re.compile(r"[^\s|]+[\s|]*|[\s|]+")
_PARTS = re.compile(r"[^_\s]+[_\s]*|[_\s]+")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    width: int | None = None,
    spare: Sequence[str] = (),
    widest: int = _WIDEST,
) -> str:
    """Draw rows below their column names; numbers stand right, texts left, cells end at ``widest`` characters.

    The table fits into ``width`` characters; None: into the terminal that stdout is, 0 or no terminal: as wide as it
    is. For that, texts are folded between words first; then columns are left out, ``spare`` ones first, the others
    from the right, and named below. The first column stays.
    """
    values = [list(row) for row in rows]
    drawn = [
        _Column(
            _cut(text(name), widest),
            [_cut(text(row[i]), widest) for row in values],
            all(isinstance(row[i], int | float | Decimal | None) for row in values),
        )
        for i, name in enumerate(columns)
    ]
    room = columns_of(sys.stdout) if width is None else width
    kept, widths = _fitted(drawn, room, spare)
    lines = [_lines([column.head for column in kept], kept, widths, _PARTS)]
    lines += [["  ".join("─" * width for width in widths)]]
    lines += [_lines(cells, kept, widths, _WORDS) for cells in zip(*(column.cells for column in kept), strict=True)]
    left = [column.head for column in drawn if column not in kept]
    lines += [wrap(f"(a wider terminal shows also: {', '.join(left)})", room)] if left else []
    return "\n".join(line for row in lines for line in row)


def columns_of(out: TextIO) -> int:
    """Give the width of the terminal that ``out`` is; 0 where it is none."""
    return get_terminal_size().columns if out.isatty() else 0


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    head: str
    cells: Sequence[str]
    right: bool

    @property
    def width(self) -> int:
        return max(map(len, (self.head, *self.cells)))

    @property
    def least(self) -> int:
        """How narrow it can be: a number stays whole, and so do words, but for very long ones."""
        parts = [len(part.rstrip()) for part in _PARTS.findall(self.head)]
        whole = (
            map(len, self.cells)
            if self.right
            else (len(word.rstrip()) for cell in self.cells for word in _WORDS.findall(cell))
        )
        bounded: Iterable[int] = (
            whole if self.right else (min(length, _LONGEST_WORD) for length in (_LEGIBLE, *whole))
        )
        return min(self.width, max([*parts, *bounded, 1]))

    @property
    def content(self) -> int:
        """Give how wide it is where nothing but its name is folded."""
        return max([self.least, *map(len, self.cells)])


def _fitted(columns: Sequence[_Column], room: int, spare: Sequence[str]) -> tuple[list[_Column], list[int]]:
    kept = list(columns)
    going = [one for name in spare for one in columns[1:] if one.head == name]
    going += [one for one in reversed(columns[1:]) if one not in going]
    for one in going if room else ():
        if sum(column.least for column in kept) + _GAP * (len(kept) - 1) <= room:
            break
        kept.remove(one)
    widths = [column.width for column in kept]
    for least in ([column.content for column in kept], [column.least for column in kept]):
        while room and sum(widths) + _GAP * (len(kept) - 1) > room:
            most = max((i for i in range(len(kept)) if widths[i] > least[i]), key=lambda i: widths[i], default=None)
            if most is None:
                break
            widths[most] -= 1
    return kept, widths


def _lines(
    cells: Sequence[str], columns: Sequence[_Column], widths: Sequence[int], parts: re.Pattern[str]
) -> list[str]:
    folded = [_folded(cell, width, parts) for cell, width in zip(cells, widths, strict=True)]
    rows = zip_longest(*folded, fillvalue="")
    return [
        (" " * _GAP)
        .join(c.rjust(w) if one.right else c.ljust(w) for c, w, one in zip(row, widths, columns, strict=True))
        .rstrip()
        for row in rows
    ]


def _folded(cell: str, width: int, parts: re.Pattern[str]) -> list[str]:
    if len(cell) <= width:
        return [cell]
    lines = [""]
    for part in parts.findall(cell):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines]


def text(value: Any) -> str:
    """Write one value as a person reads it.

    Decimals lose trailing zeros and never show an exponent; times are UTC without an offset; what is missing
    is empty; control characters are escaped, so that stored text cannot drive the terminal.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value)
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, str | int | float | date):
        return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", str(value))
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(k)}: {text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(text, value)) + "]"
    return text(str(value))


def decimal_text(value: Decimal) -> str:
    """Write a decimal exactly, with no trailing zeros and no exponent."""
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def count(number: int) -> str:
    """Write a count with thin separators: 1,234,567."""
    return f"{number:,}"


def size(number: int) -> str:
    """Write a size in bytes with the unit that suits it."""
    if number < 1024:
        return f"{number} B"
    amount, units = number / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.1f} {units[0]}"


def _cut(cell: str, widest: int) -> str:
    return cell if len(cell) <= widest else cell[: widest - 1] + "…"
