"""Recordings that are served and taken in over a real websocket give the same rows as a replay of the files."""

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataflows.replay import replay
from storage import lake
from storage.data_folder import DataFolder, lake_path
from storage.ledger.ledger import Ledger
from storage.ledger.server import serve

sys.path.insert(0, str(Path(__file__).parent))
from arena import Arena

from core.timeframes import MINUTE

BITCOIN, LITECOIN = "binance:BTC-USDT", "binance:LTC-USDT"
_FEED = """
[[feeds]]
name = "{name}"
venue = "binance"
instruments = ["{instrument}"]
websocket_url = "ws://127.0.0.1:{{ports[{number}]}}"
rest_url = "http://127.0.0.1:{{ports[{number}]}}"
history_minutes = 0
"""
_CONFIG = """
[[strategies]]
name = "rsi"
params = {{ length = 2, oversold = 45, overbought = 55 }}
""" + "".join(
    _FEED.format(name=name, instrument=instrument, number=number)
    for number, (name, instrument) in enumerate((("bitcoin", BITCOIN), ("litecoin", LITECOIN)))
)
# When a trade was received here is all that a venue does not tell of it.
_TRADES = "SELECT * EXCLUDE (received) FROM lake.trades WHERE instrument = ? ORDER BY trade_id"
_CANDLES = """
SELECT epoch_us(start), * EXCLUDE (revision) FROM lake.candles WHERE instrument = ? AND timeframe = ?
QUALIFY row_number() OVER (PARTITION BY start ORDER BY revision DESC) = 1 ORDER BY start"""
_REVISED = "SELECT count(*) FROM lake.candles WHERE revision > 0"
_LAST = "SELECT epoch_us(max(ts)) FROM lake.trades WHERE instrument = ?"
_REACHED = """
SELECT instrument, epoch_us(max(start)) FROM lake.candles WHERE timeframe = '1m' AND trade_count = 0 GROUP BY ALL"""


class Stored:
    """All that a data folder holds of the recordings."""

    def __init__(self, settings) -> None:
        folder = DataFolder(settings.data)
        with serve(settings, folder) as address, Ledger(address) as ledger:
            session = lake.connect(address, lake_path(settings, folder), read_only=True)
            try:
                self.trades = {name: _read(session, _TRADES, name) for name in (BITCOIN, LITECOIN)}
                self.ended = {name: _read(session, _LAST, name)[0][0] for name in self.trades}
                self.candles = {
                    (name, timeframe): _read(session, _CANDLES, name, timeframe)
                    for name in self.trades
                    for timeframe in ("1s", "1m")
                }
                ((self.revised,),) = _read(session, _REVISED)
            finally:
                session.close()
            self.gaps = ledger.gaps()
            self.coverage = {name: ledger.coverage(name, "trade", 0, 2**52) for name in self.trades}
            self.signals = sorted(ledger.signals(), key=lambda signal: signal.id)
            self.dirty = ledger.dirty(dict.fromkeys(ledger.feeds(), 2**62), 1_000)


def _read(session, query: str, *values: str) -> list[tuple[Any, ...]]:
    return session.execute(query, values).fetchall()


@pytest.fixture(scope="module")
def recordings(sample):
    trades = sample / "trades"
    return {
        BITCOIN: [trades / f"binance_spot_btcusdt_2024080{day}.ws.gz" for day in (8, 9)],
        LITECOIN: [trades / "binance_spot_ltcusdt_20250621_trades.parquet"],
    }


@pytest.fixture(scope="module")
def both(recordings, tmp_path_factory):
    """What `up` stored, and what a replay stored, of eleven minutes of one market and a day of another."""
    folder = tmp_path_factory.mktemp("served")
    serving = [sys.executable, "-P", "-m", "tidemill", "simulate", "--port", "0"]
    arena = Arena(
        folder,
        _CONFIG,
        [*serving, "--venue", "binance", "--speed", "90", *map(str, recordings[BITCOIN])],
        [*serving, "--instrument", LITECOIN, "--speed", "12000", *map(str, recordings[LITECOIN])],
    )
    try:
        arena.start()
        again = arena.settings.model_copy(update={"data": folder / "replayed"})
        replay(again, recordings[BITCOIN], venue="binance")
        replay(again, recordings[LITECOIN], instrument=LITECOIN)
        replayed = Stored(again)
        wait_for_all(arena, replayed.ended)
        assert arena.stop() == 0, (folder / "up.log").read_text()[-3000:]
        assert arena.left_over() == []
    finally:
        arena.close()
    return Stored(arena.settings), replayed


def wait_for_all(arena: Arena, ended: dict[str, int]) -> None:
    """Wait for a whole minute without trades behind the last one: all that came before is in the lake, then."""
    deadline = time.monotonic() + 120
    while True:
        with arena.opened() as (session, ledger):
            reached = dict(_read(session, _REACHED))
            dirty = ledger.dirty(dict.fromkeys(ledger.feeds(), 2**62), 1)
        if not dirty and all(reached.get(name, 0) > last for name, last in ended.items()):
            return
        assert time.monotonic() < deadline, f"after two minutes: {reached}, {ended}; see {arena.folder}"
        time.sleep(0.5)


@pytest.mark.parametrize(("name", "count"), [(BITCOIN, 19_904), (LITECOIN, 53_325)])
def test_trades_are_the_same(both, name, count):
    served, replayed = both
    assert len(served.trades[name]) == count
    assert served.trades[name] == replayed.trades[name]


@pytest.mark.parametrize("timeframe", ["1s", "1m"])
@pytest.mark.parametrize("name", [BITCOIN, LITECOIN])
def test_candles_are_the_same_and_so_is_what_is_proven(both, name, timeframe):
    served, replayed = (one.candles[name, timeframe] for one in both)
    ended = both[1].ended[name]
    # The exchange goes on behind the end of its recording, where nobody trades; a replay ends there.
    after = [row for row in served if row[0] > ended]
    assert [row for row in served if row[0] <= ended] == replayed
    assert any(row[-2] for row in replayed)
    assert not any(row[-2] or row[-4] for row in after)


def test_every_hole_is_the_same_gap(both):
    served, replayed = both
    # The exchange has no more trades than its recording: REST cannot fill what was not recorded.
    assert [gap.instrument for gap in served.gaps] == [LITECOIN] * 16
    assert served.gaps == replayed.gaps
    assert served.dirty == replayed.dirty == []


@pytest.mark.parametrize("name", [BITCOIN, LITECOIN])
def test_coverage_is_the_same_up_to_the_last_minute(both, name):
    served, replayed = (one.coverage[name] for one in both)
    # A replay tells its coverage when it ends; who goes on tells it once a minute.
    assert served[:-1] == replayed[:-1]
    told, all_ = served[-1], replayed[-1]
    assert (told.first_id, told.first_ts) == (all_.first_id, all_.first_ts)
    assert all_.last_ts - MINUTE <= told.last_ts <= all_.last_ts


def test_signals_are_the_same(both):
    served, replayed = both
    assert len(replayed.signals) > 100
    if served.revised:
        pytest.skip("the machine stood still for so long that the venue's fast clock overtook its streams")
    assert served.signals == replayed.signals
