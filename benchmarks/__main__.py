"""`python -m benchmarks [--only NAME] [--quick]`: measure, print the table, keep it in docs/benchmarks.md."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import candles, journal, latency, market, recorder, system
from benchmarks.machine import described
from benchmarks.table import Row, kept, printed

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
WORKS: Mapping[str, Callable[[bool], list[Row]]] = {
    "journal": journal.rows,
    "candles": candles.rows,
    "market": market.rows,
    "recorder": recorder.rows,
    "latency": latency.rows,
    "system": system.rows,
}


def main() -> int:
    """Measure what was asked for; give 1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", choices=WORKS, action="append", help="measure this one; may be given again")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs; keeps no figures")
    chosen = parser.parse_args()
    began = time.monotonic()
    machine = described()
    print(machine)
    rows = []
    for name in chosen.only or WORKS:
        print(f"measuring {name} …", file=sys.stderr)
        rows.extend(WORKS[name](chosen.quick))
    print(printed(rows))
    print(f"{time.monotonic() - began:.0f} s")
    if not chosen.only and not chosen.quick:
        PAGE.write_text(kept(PAGE.read_text("utf-8"), machine, rows), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
