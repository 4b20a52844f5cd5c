"""All that a data folder holds, as comparable rows."""

from pathlib import Path

from core.settings import Settings
from storage import lake
from storage.data_folder import DataFolder, lake_path
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

_TRADES = "SELECT * FROM lake.trades ORDER BY instrument, trade_id, ts"
_FIRST = "SELECT * FROM lake.candles WHERE revision = 0 ORDER BY ALL"
_LATEST = """
SELECT * EXCLUDE (revision) FROM lake.candles
QUALIFY row_number() OVER (PARTITION BY instrument, timeframe, start ORDER BY revision DESC) = 1 ORDER BY ALL"""
_TOLD = {
    "quotes": "FROM lake.quotes ORDER BY ALL",
    "venue_candles": "FROM lake.venue_candles ORDER BY ALL",
    "mark_prices": "FROM lake.mark_prices ORDER BY ALL",
}
_TWICE = """
SELECT count(*) FROM (
    FROM lake.candles SELECT instrument, timeframe, start, revision GROUP BY ALL HAVING count(*) > 1)"""


def everything(settings: Settings) -> dict[str, list[tuple]]:
    """Read all rows of a data folder: the lake's tables, gaps, coverage, signals, dirty minutes, the quarantine."""
    folder = DataFolder(Path(settings.data))
    with serve(settings, folder) as address, Ledger(address) as ledger:
        session = lake.connect(address, lake_path(settings, folder), read_only=True)
        queries = {"trades": _TRADES, "first": _FIRST, "latest": _LATEST, "twice": _TWICE, **_TOLD}
        try:
            found = {name: session.execute(query).fetchall() for name, query in queries.items()}
        finally:
            session.close()
        found["gaps"] = [tuple(map(str, (g, g.state))) for g in ledger.gaps()]
        found["signals"] = sorted((s.id, str(s)) for s in ledger.signals())
        found["coverage"] = [
            (str(c),)
            for name, space in sorted(ledger.id_spaces().items())
            for c in ledger.coverage(name, space, 0, 2**52)
        ]
        found["unread"] = [(str(q),) for feed in ledger.feeds() for q in ledger.unreadable(feed, 100_000)]
        committed = dict.fromkeys(ledger.feeds(), 2**62)
        found["dirty"] = [(str(d),) for d in ledger.dirty(committed, 100_000)]
    return found
