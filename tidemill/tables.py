"""Tables as plain text: aligned, safe for a terminal, fast for thousands of rows."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_WIDEST = 80


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Draw rows below their column names; numbers stand right, texts left, cells end at 80 characters."""
    values = [list(row) for row in rows]
    right = [all(isinstance(row[i], int | float | Decimal | None) for row in values) for i in range(len(columns))]
    cells = [[_cut(text(value)) for value in row] for row in values]
    heads = [_cut(text(name)) for name in columns]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        pairs = zip(row, widths, right, strict=True)
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in pairs).rstrip()

    return "\n".join([line(heads), "  ".join("─" * width for width in widths), *map(line, cells)])


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


def _cut(cell: str) -> str:
    return cell if len(cell) <= _WIDEST else cell[: _WIDEST - 1] + "…"
