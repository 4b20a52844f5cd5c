"""What is stored after a soak, against what was sent."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.settings import Settings
from simulator.tapes.tape import Tape
from storage import lake
from storage.data_folder import DataFolder, lake_path
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

SAMPLED = 10
_COUNTED = """
SELECT instrument, count(*), count(DISTINCT trade_id), min(trade_id), max(trade_id)
FROM lake.trades GROUP BY instrument ORDER BY instrument"""
_ROWS = """
SELECT trade_id, epoch_us(ts) AS ts, price, size, side FROM lake.trades WHERE instrument = ? ORDER BY trade_id"""


@dataclass(frozen=True, slots=True)
class Stored:
    """Hold the comparison: ``missing`` ids between the first stored and the last sent, ``twice`` stored ones.

    ``differing`` trades of `SAMPLED` instruments are not as they were sent; ``gaps`` are those that are still open.
    """

    trades: int
    instruments: int
    missing: int
    twice: int
    compared: int
    differing: int
    gaps: int
    candles: int
    incomplete: int
    signals: int


def compared(settings: Settings, tape: Tape, shift: int, last_ids: Mapping[str, int]) -> Stored:
    """Compare a lake that nobody writes any more with the tape: every trade by its id, some by all that they say."""
    folder = DataFolder(settings.data)
    with serve(settings, folder) as address, Ledger(address) as ledger:
        session = lake.connect(address, lake_path(settings, folder), read_only=True)
        try:
            counted = session.execute(_COUNTED).fetchall()
            missing = sum(last_ids[name] - first + 1 - distinct for name, _, distinct, first, _ in counted)
            sampled = counted[:: max(1, len(counted) // SAMPLED)][:SAMPLED]
            differing, checked = 0, 0
            for name, *_ in sampled:
                stored = session.execute(_ROWS, [name]).fetchnumpy()
                native = next(one.native for one in tape.instruments if one.name == name)
                first, count = int(stored["trade_id"][0]), last_ids[name] - int(stored["trade_id"][0]) + 1
                sent = tape.from_id(native, first, count, 2**62)
                checked += count
                differing += _differing(
                    stored,
                    {
                        "trade_id": sent.ids,
                        "ts": sent.ts + shift,
                        "price": sent.price,
                        "size": sent.size,
                        "side": sent.side,
                    },
                )
            candles, incomplete = session.execute(
                "SELECT count(*), count(*) FILTER (NOT complete) FROM lake.candles WHERE timeframe = '1m'"
            ).fetchone() or (0, 0)
        finally:
            session.close()
        gaps = sum(1 for gap in ledger.gaps() if gap.missing)
        signals = len(ledger.last_signals())
    return Stored(
        sum(count for _, count, *_ in counted),
        len(counted),
        missing,
        sum(count - distinct for _, count, distinct, *_ in counted),
        checked,
        differing,
        gaps,
        candles,
        incomplete,
        signals,
    )


def _differing(stored: Mapping[str, np.ndarray], sent: Mapping[str, np.ndarray]) -> int:
    if len(stored["trade_id"]) != len(sent["trade_id"]):
        return abs(len(stored["trade_id"]) - len(sent["trade_id"]))
    return int(np.logical_or.reduce([stored[name] != sent[name] for name in sent]).sum())
