"""A repair as a process of its own, to be killed at any moment: `python repair_process.py DATA VENUE PORT`."""

import sys
from pathlib import Path

from core.settings import FeedSettings, Settings
from dataflows import refill
from dataflows.repair import repair


def main(data: Path, venue: str, port: int) -> None:
    # Small steps: there are many moments between two of them.
    refill.CHUNK = 100
    at = f"http://127.0.0.1:{port}"
    feed = FeedSettings(name="f", venue=venue, instruments=(f"{venue}:BTC-USDT",), rest_url=at)
    told = iter([lambda: print("at work", flush=True)])
    summary = repair(
        Settings(data=data, strategies=(), feeds=(feed,)), on_progress=lambda progress: next(told, lambda: None)()
    )
    assert summary.left == 0, summary


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
