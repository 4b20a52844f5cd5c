"""The table that `make bench` prints and keeps in docs/benchmarks.md."""

from collections.abc import Sequence
from dataclasses import dataclass

BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
_HEAD = ("work", "measured", "goal", "baseline of the same run", "met")
_MET = {True: "yes", False: "no", None: "–"}


@dataclass(frozen=True, slots=True)
class Row:
    """Hold one measurement beside its goal and the baseline of the same run."""

    work: str
    measured: str
    goal: str
    baseline: str
    met: bool | None

    def cells(self) -> tuple[str, ...]:
        return self.work, self.measured, self.goal, self.baseline, _MET[self.met]


def printed(rows: Sequence[Row]) -> str:
    """Give the rows as a Markdown table."""
    lines = [_HEAD, tuple("---" for _ in _HEAD), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def kept(page: str, machine: str, rows: Sequence[Row], markers: tuple[str, str] = (BEGIN, END)) -> str:
    """Give the page with its table replaced; raise `ValueError` where the page lacks the two markers."""
    begin, end = markers
    before, _, rest = page.partition(begin)
    _, marker, after = rest.partition(end)
    if not marker:
        raise ValueError(f"the page needs the lines {begin} and {end}")
    return f"{before}{begin}\n\n{machine}\n\n{printed(rows)}\n\n{end}{after}"
