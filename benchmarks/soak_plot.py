"""`python -m benchmarks.soak_plot SAMPLES.csv PLOT.svg`: draw what a soak has seen."""

import io
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.soak_samples import PROCESSES, read

_POINTS = 144
"""Of a long run so many points are drawn: the plot is kept beside the documents."""
_DIGITS = re.compile(r"(\d+\.\d)\d+")
"""A tenth of a point is finer than anybody sees."""
_SYSTEM = [name for name in PROCESSES if name != "exchange"]


def draw(columns: Mapping[str, Sequence[float]], path: Path) -> None:
    """Draw memory, lag and processor time over the minutes; where all sockets were cut there is a line."""
    at = np.array(columns["at"]) / 60
    figure = Figure(figsize=(9, 8.5))
    memory, lag, cpu = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    for name in _SYSTEM:
        _line(memory, at, np.array(columns[f"{name} rss"]), name)
        _line(cpu, at[1:], _shares(columns, name) * 100, name)
    _line(lag, at, np.array(columns["lag_seconds"]), "journal → dataflow, seconds")
    _line(lag, at, np.array(columns["waiting"]) / 1000, "rows waiting for lake and ledger, thousands")
    for axes, what in ((memory, "resident memory, MiB"), (lag, "lag"), (cpu, "CPU, % of a core")):
        axes.set_ylabel(what)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        for moment in _cuts(columns):
            axes.axvline(moment / 60, color="0.4", linewidth=0.8, linestyle="--")
    memory.legend(ncols=len(_SYSTEM), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize="small")
    lag.legend(ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize="small")
    cpu.set_xlabel("minutes; the dashed line: all sockets cut at once")
    # Text stays text: a glyph drawn for every letter makes the file many times as large. And no date in it.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "soak", "path.simplify_threshold": 0.5}):
        text = io.StringIO()
        figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    path.write_text(_DIGITS.sub(r"\1", text.getvalue()), "utf-8")


def _line(axes: Axes, at: np.ndarray, values: np.ndarray, label: str) -> None:
    # Of each stretch the largest value, so that no peak is lost.
    edges = np.unique(np.linspace(0, len(at), min(len(at), _POINTS) + 1).astype(int))
    parts = [slice(low, high) for low, high in pairwise(edges.tolist())]
    axes.plot([at[one][-1] for one in parts], [values[one].max() for one in parts], label=label, linewidth=1.1)


def _shares(columns: Mapping[str, Sequence[float]], name: str) -> np.ndarray:
    shares: np.ndarray = np.diff(columns[f"{name} cpu"]) / np.diff(columns["at"])
    # A process that was started again begins from nothing.
    return np.maximum(shares, 0)


def _cuts(columns: Mapping[str, Sequence[float]]) -> list[float]:
    return [at for at, cut in zip(columns["at"], np.diff(columns["cut"], prepend=0), strict=True) if cut > 0]


def main() -> int:
    samples, plot = map(Path, sys.argv[1:])
    draw(read(samples), plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
