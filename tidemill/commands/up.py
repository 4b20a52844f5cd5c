"""tidemill up: the whole path at work on an invented market."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from core.records import Kind, Record
from core.settings import Settings
from core.timeframes import HOUR
from dataflows.recording import Recording
from dataflows.replay import play
from simulator.frames import frames
from simulator.market import InventedMarket
from tidemill.commands.replay import drawn, watched
from tidemill.configuration import configured
from tidemill.query import catalog, rows
from tidemill.tables import table
from tidemill.terminal import progress

_SEED = 1
_CANDLES = """
    SELECT start, open, high, low, close, volume, trade_count AS trades, complete
    FROM candles WHERE timeframe = '5m' AND instrument = '{instrument}' ORDER BY start DESC LIMIT 5"""
_SIGNALS = """
    SELECT decided_at, instrument, timeframe, side, target, price, reason
    FROM signals ORDER BY decided_at DESC, instrument, side LIMIT 10"""
_NEXT = """\
What to try next:
  tidemill sql{data} "FROM candles WHERE timeframe = '1h' ORDER BY start DESC LIMIT 6"
  tidemill sql{data}                 a prompt; .tables shows what can be asked
  tidemill status --coverage{data}   which share of each day is proven
  tidemill replay FILE --venue binance --data DIR   a recording of your own, in a folder of its own
"""


def up(
    ctx: typer.Context,
    hours: Annotated[int, typer.Option(min=1, max=240, help="How much of the invented market.")] = 3,
) -> None:
    """Show the system at work: an invented market goes through the live path into the lake.

    The market is fixed by a seed, so that running it again finds everything stored and changes nothing.

    Example: tidemill up
    """
    settings, options = configured(ctx), ctx.obj
    market = InventedMarket(_SEED)
    with progress() as report:
        report(0, 0, f"inventing {hours} hours of a market")
        summary = play(settings, invented(market, hours * HOUR), on_progress=watched(report))
    sys.stdout.write(drawn("invented market", summary) + "\n")
    names = [listing.instrument.name for listing in market.listings]
    sys.stdout.write(_stored(settings, names) + "\n")
    sys.stdout.write(_NEXT.format(data=f" --data {options.data}" if options.data else ""))


def invented(market: InventedMarket, duration: int) -> Recording:
    """Give the first ``duration`` (µs) of an invented market as a recording; nothing is written for it."""

    def records() -> Iterator[Record]:
        for frame in frames(market, duration):
            yield Record(Kind.FRAME, frame.received, frame.payload)

    total = sum(len(batch) for batch in market.trades(duration))
    return Recording("an invented market", "replay-simulated", "simulated", records, total)


def _stored(settings: Settings, instruments: list[str]) -> str:
    parts = []
    with catalog(settings) as connection:
        for instrument in instruments:
            found = rows(connection, _CANDLES.format(instrument=instrument))
            parts.append(f"{instrument}, 5m candles\n{_drawn(found)}\n")
        parts.append(f"latest signals\n{_drawn(rows(connection, _SIGNALS))}\n")
    return "\n".join(parts)


def _drawn(found: list[dict[str, Any]]) -> str:
    return table(list(found[0]), [list(row.values()) for row in found]) if found else "none"
