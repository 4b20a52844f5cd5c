"""Stored trades to one-minute candles, against DuckDB's GROUP BY over the same file; both may use every core."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.machine import peak_memory, scratch
from benchmarks.table import Row
from core.candle_fold import CandleFold
from core.candles import SUM_SCALE, CandleBatch
from core.timeframes import TIMEFRAMES
from dataflows.refold import COLUMNS, fold_stored
from simulator.listing import LISTINGS
from simulator.market import InventedMarket
from storage.lake import data_files
from storage.lake.order import in_order

TRADES = 20_000_000
ROUNDS = 3
ROOT = Path(__file__).parents[1]
GOAL, PART, MEMORY = 30.0, 0.8, 600
LISTING = replace(LISTINGS[0], rate=500.0)
BATCH = 122_880
FILE = 4_000_000


def store(folder: Path, trades: int) -> int:
    """Write invented trades as the lake does, some million a file; give how many there are."""
    waiting: list[pa.RecordBatch] = []
    count = 0
    for batch in InventedMarket(1, (LISTING,)).trades(20 * trades * 1_000_000):
        waiting.append(batch.to_arrow())
        count += len(batch)
        if sum(rows.num_rows for rows in waiting) >= FILE or count >= trades:
            write(folder, waiting)
            waiting = []
        if count >= trades:
            break
    return count


def write(folder: Path, batches: list[pa.RecordBatch]) -> None:
    # Files of a day are read in the order of their names.
    number = len(stored(folder))
    for place, part in data_files.partitions("trades", in_order("trades", pa.Table.from_batches(batches))):
        path = data_files.write(folder / place, part)
        path.rename(path.with_name(f"{number:04d}.parquet"))


def fold(files: list[Path]) -> CandleBatch:
    """Fold the files as backfill and revision do."""
    batches = (b for file in files for b in pq.ParquetFile(file).iter_batches(BATCH, columns=list(COLUMNS)))
    state = CandleFold.start(LISTING.instrument.name, TIMEFRAMES["1m"], 0)
    return CandleBatch.concat(list(fold_stored(state, batches)))


def group(files: list[Path], exact: bool) -> pa.Table:
    """Let DuckDB fold them; ``exact`` casts to decimals, so that sums are right and the same in every run."""
    price, size = ("price::DECIMAL(18, 2)", "size::DECIMAL(18, 5)") if exact else ("price", "size")
    query = f"""
        SELECT epoch_us(ts) // 60000000 * 60000000 AS start,
               arg_min(price, trade_id) AS open, max(price) AS high, min(price) AS low,
               arg_max(price, trade_id) AS close, sum({size}) AS volume, sum({price} * {size}) AS quote_volume,
               sum(fills)::BIGINT AS trade_count, sum({size}) FILTER (side > 0) AS taker_buy_volume
        FROM read_parquet({[str(file) for file in files]!r}) GROUP BY ALL ORDER BY start
    """
    with duckdb.connect() as session:
        session.execute("SET enable_progress_bar = false")
        return session.execute(query).to_arrow_table()


def differing(ours: CandleBatch, theirs: pa.Table) -> list[str]:
    """Name the columns in which a fold differs from DuckDB's exact one, by a bit."""
    table = ours.to_arrow()
    sums = pa.decimal128(38, SUM_SCALE)
    wrong = []
    for name in theirs.column_names:
        mine = table.column(name)
        mine = mine.view(pa.int64()) if name == "start" else mine
        other = theirs.column(name).combine_chunks()
        if not mine.equals(other.cast(sums) if mine.type == sums else other):
            wrong.append(name)
    return wrong


WORKS: dict[str, Callable[[list[Path]], object]] = {
    "fold": fold,
    "group": lambda files: group(files, exact=False),
    "exact": lambda files: group(files, exact=True),
}


@dataclass(frozen=True, slots=True)
class Took:
    """Hold one measurement: wall and CPU time in seconds, peak memory in MiB."""

    seconds: float
    cpu: float
    peak_mib: float


def timed(work: str, folder: Path) -> Took:
    """Measure one work in a process of its own."""
    arguments = [sys.executable, "-m", "benchmarks.candles", work, str(folder)]
    return Took(*json.loads(subprocess.run(arguments, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout))


def measure(folder: Path, trades: int, rounds: int) -> tuple[int, dict[str, list[Took]]]:
    """Give the number of trades and what each work took in each round; a fold that is not exact is an error."""
    count = store(folder, trades)
    wrong = differing(fold(stored(folder)), group(stored(folder), exact=True))
    if wrong:
        raise SystemExit(f"the fold's {', '.join(wrong)} differ from DuckDB's exact result")
    took: dict[str, list[Took]] = {work: [] for work in WORKS}
    # They take turns, so that all meet the same machine.
    for _ in range(rounds):
        for work, measured in took.items():
            measured.append(timed(work, folder))
    return count, took


def rows(quick: bool = False) -> list[Row]:
    wanted, rounds = (500_000, 1) if quick else (TRADES, ROUNDS)
    with scratch() as folder:
        trades, took = measure(folder, wanted, rounds)
    rate = {work: trades / min(one.seconds for one in all_) / 1e6 for work, all_ in took.items()}
    cost = {work: min(one.cpu for one in all_) / trades * 1e9 for work, all_ in took.items()}
    peak = {work: max(one.peak_mib for one in all_) for work, all_ in took.items()}
    slowest = trades / max(one.seconds for one in took["fold"]) / 1e6
    part = rate["fold"] / rate["group"]
    return [
        Row(
            f"stored trades → one-minute candles, {trades:,} trades, exact to the last digit",
            f"{rate['fold']:.1f} M rows/s (slowest of {rounds}: {slowest:.1f}), {cost['fold']:.0f} ns of CPU a row",
            f"≥ {GOAL:.0f} M rows/s",
            f"DuckDB GROUP BY {rate['group']:.1f} M rows/s, {cost['group']:.0f} ns;"
            f" with exact sums {rate['exact']:.1f} M, {cost['exact']:.0f} ns",
            rate["fold"] >= GOAL,
        ),
        Row(
            "the same, as a part of DuckDB's GROUP BY",
            f"{part:.2f}",
            f"≥ {PART}",
            f"against exact sums {rate['fold'] / rate['exact']:.2f}",
            part >= PART,
        ),
        Row(
            "memory of that process, peak",
            f"{peak['fold']:,.0f} MiB",
            f"< {MEMORY} MiB",
            f"DuckDB {peak['group']:,.0f} MiB",
            peak["fold"] < MEMORY,
        ),
    ]


def stored(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def main() -> None:
    run, files = WORKS[sys.argv[1]], stored(Path(sys.argv[2]))
    # Compiled loops are loaded and plans are made once a process.
    run(files[:1])
    began, cpu = time.perf_counter(), time.process_time()
    run(files)
    print(json.dumps((time.perf_counter() - began, time.process_time() - cpu, peak_memory())))


if __name__ == "__main__":
    main()
