"""A process of the system under test: `python worker.py flow|reviser DATA`, to be killed at any moment."""

import contextlib
import sys
import time
from datetime import timedelta
from pathlib import Path

from core.errors import Busy, TransientError
from core.settings import CandleSettings, Settings, StrategySettings
from dataflows.running import run
from dataflows.system import System, opened


def settings_of(data: Path) -> Settings:
    return Settings(
        data=data,
        candles=CandleSettings(timeframes=("1m", "5m", "15m")),
        strategies=(
            StrategySettings(name="rsi", params={"length": 7}),
            StrategySettings(name="rsi", timeframe="5m", params={"length": 3}),
            StrategySettings(name="rsi", timeframe="1s", params={"length": 14, "sides": "long"}),
        ),
    )


def work_off(system: System, limit: int, epoch: float) -> None:
    """Run the dataflow until every feed's journal is at its end."""
    reading = system.reading(until=system.journal.last_offset)
    flow = system.flow(reading, limit)
    run(flow, system.recovery, reading, timedelta(seconds=epoch))


def main(role: str, data: Path) -> None:
    with opened(settings_of(data), role, hold=False) as system:
        if role == "flow":
            work_off(system, limit=500, epoch=0.1)
            return
        while True:
            with contextlib.suppress(Busy):
                system.revise()
            time.sleep(0.05)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]))
    except TransientError as error:
        print(f"transient: {error}", file=sys.stderr)
        sys.exit(75)
