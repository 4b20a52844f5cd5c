"""A repair as a process of its own, to be killed: `python repair_process.py DATA VENUE ADDRESS LEDGER`."""

import sys
from pathlib import Path

from pydantic import SecretStr

from core.settings import FeedSettings, LedgerSettings, Settings
from dataflows import refill
from dataflows.repair import repair


def main(data: Path, venue: str, at: str, ledger: str) -> None:
    # Small steps: there are many moments between two of them.
    refill.CHUNK = 100
    feed = FeedSettings(name="f", venue=venue, instruments=(f"{venue}:BTC-USDT",), rest_url=at)
    told = iter([lambda: print("at work", flush=True)])
    settings = Settings(data=data, ledger=LedgerSettings(url=SecretStr(ledger)), strategies=(), feeds=(feed,))
    summary = repair(settings, on_progress=lambda progress: next(told, lambda: None)())
    assert summary.left == 0, summary


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
