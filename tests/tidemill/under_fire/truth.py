"""The truth: the market as it was drawn, against all that is stored of it."""

import sys
import time
from pathlib import Path

import numpy as np

from core.timeframes import MINUTE
from core.trades import TradeBatch

sys.path.insert(0, str(Path(__file__).parent))
import exchange as exchange_process
from arena import NAMES, InventedArena

_STORED = """
SELECT trade_id, epoch_us(ts), price, size, side, fills FROM lake.trades WHERE instrument = ? ORDER BY trade_id"""
_MINUTES = """
SELECT epoch_us(start), open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, complete
FROM lake.candles WHERE instrument = ? AND timeframe = '1m'
QUALIFY row_number() OVER (PARTITION BY start ORDER BY revision DESC) = 1 ORDER BY start"""
_TWICE = """
SELECT count(*) FROM (
    FROM lake.candles SELECT 1 GROUP BY instrument, timeframe, start, revision HAVING count(*) > 1)"""
_REACHED = """
SELECT instrument, max(trade_id), max(trade_id) - min(trade_id) + 1 - count(*) FROM lake.trades GROUP BY instrument"""


def settled(arena: InventedArena, patience: float) -> float:
    """Stop the market's time and wait until the lake has all that was sent; give how many seconds that took."""
    last = arena.exchange.ask("pause", "POST")["last_ids"]
    # What the clock has reached may still be on its way to the streams.
    time.sleep(0.5)
    last = arena.exchange.ask("state")["last_ids"]
    began = time.monotonic()
    while True:
        found = read(arena, _REACHED)
        if {(name, last[name], 0) for name in NAMES} == set(found):
            return time.monotonic() - began
        assert time.monotonic() - began < patience, (
            f"after {patience} s: {found}, sent up to {last}; see {arena.folder}"
        )
        arena.restart()
        time.sleep(0.25)


def read(arena: InventedArena, query: str) -> list[tuple]:
    with arena.opened() as (session, _):
        return session.execute(query).fetchall()


def check(arena: InventedArena) -> None:
    """Compare all that is stored with the market as it was drawn."""
    tape = exchange_process.tape(arena.rate, arena.seed)
    with arena.opened() as (session, ledger):
        assert session.execute(_TWICE).fetchone() == (0,)
        assert [gap for gap in ledger.gaps() if gap.missing] == []
        assert waiting(session, ledger) == []
        for name in NAMES:
            stored = session.execute(_STORED, [name]).fetchnumpy()
            native = name.split(":")[1].replace("-", "")
            ids = stored["trade_id"]
            sent = tape.from_id(native, int(ids[0]), len(ids) + 1, int(stored["epoch_us(ts)"].max()) + 1)
            assert_same_trades(stored, sent)
            assert_same_minutes(session.execute(_MINUTES, [name]).fetchall(), tape, native, sent)


def assert_same_trades(stored: dict[str, np.ndarray], sent: TradeBatch) -> None:
    columns = ("trade_id", "epoch_us(ts)", "price", "size", "side", "fills")
    for column, expected in zip(
        columns, (sent.ids, sent.ts, sent.price, sent.size, sent.side, sent.fills), strict=True
    ):
        np.testing.assert_array_equal(np.asarray(stored[column]), expected, err_msg=column)


def assert_same_minutes(stored: list[tuple], tape, native: str, sent: TradeBatch) -> None:
    first, last = int(sent.ts[0]), int(sent.ts[-1])
    whole = range((first // MINUTE + 1) * MINUTE, last // MINUTE * MINUTE, MINUTE)
    found = {row[0]: row[1:] for row in stored}
    truth = tape.klines(native, "1m", whole.start, whole.stop).candles()
    assert [candle.start for candle in truth] == list(whole)
    # The newest minute waits for the trade that proves it; the market stands still.
    for candle in truth[:-1]:
        assert found[candle.start] == (
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.quote_volume,
            candle.trade_count,
            candle.taker_buy_volume,
            True,
        ), candle.start


def waiting(session, ledger) -> list:
    """Give the dirty minutes of time that has passed; those of the open minute wait until it closes."""
    (reached,) = session.execute("SELECT epoch_us(max(ts)) FROM lake.trades").fetchone()
    dirty = ledger.dirty(dict.fromkeys(ledger.feeds(), 2**62), 1_000)
    return [row for row in dirty if row.minute < reached // MINUTE * MINUTE - MINUTE]


def wait_for_reviser(arena: InventedArena) -> None:
    deadline = time.monotonic() + 30
    while True:
        with arena.opened() as (session, ledger):
            if not waiting(session, ledger):
                return
        assert time.monotonic() < deadline, "dirty minutes are not worked off"
        time.sleep(0.25)
