import asyncio
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import FEED, Recorded, recording, settings_of
from scripted_venue import ScriptedVenue

from core.instruments import Instrument
from core.records import Kind
from core.settings import JournalSettings
from dataflows.recorder import catch_up
from dataflows.recorder.catch_up import CatchUp
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import RecorderMetrics
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest
from simulator.wire import payload
from storage.journal import Journal

BTC, ETH = ("simulated:BTC-USDT", "trade"), ("simulated:ETH-USDT", "trade")
TWO_HOURS_MS = 7_200_000


@pytest.fixture
def venue():
    with ScriptedVenue(("BTCUSDT", "ETHUSDT")) as venue:
        yield venue


def subscribed(venue):
    return venue.subscribed == {"btcusdt@trade"}


def live(*numbers, symbol="BTCUSDT"):
    now = time.time_ns() // 1000
    return [payload(symbol, number, 100.5, 0.25, now, 1, now) for number in numbers]


@asynccontextmanager
async def catching_up(folder, urls):
    """Give a catch-up, the log that it writes into, and what is known by that."""
    market, metrics = venue_named("simulated", **urls), RecorderMetrics(CollectorRegistry()).of(FEED)
    rest, known, clock = Rest(market), KnownTrades(market), SteadyClock()
    with Journal(folder) as journal:
        log = CommitLog(journal, FEED, 1 << 20, JournalSettings(), folder, known.take, metrics)
        await log.open()
        instruments = {name: Instrument.parse(name) for name, _ in (BTC, ETH)}
        catching = CatchUp(market, rest, known, log, clock, metrics, instruments, 10_000)

        async def receive(*frames):
            log.put_frames(frames, clock.now())
            await log.flushed()

        try:
            yield catching, known, receive
        finally:
            await log.close()
            await rest.close()


def test_holes_are_filled_before_anybodys_newest_trades_are_asked_for(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 0.0)
    venue.publish(5)
    venue.publish(3, "ETHUSDT")

    async def run():
        async with catching_up(tmp_path, venue.urls) as (catching, known, receive):
            await receive(*live(1, 2, 5), *live(1, symbol="ETHUSDT"))
            catching.look_after([BTC, ETH])
            await catching.turn(time.monotonic())
            assert (known.missing(BTC, 1, 5), known.missing(ETH, 1, 3)) == ([], [])

    asyncio.run(run())
    asked = [path.split("?")[0].rsplit("/")[-1] for path in venue.asked]
    assert asked == ["historicalTrades", "trades", "trades", "historicalTrades"]
    assert "symbol=BTCUSDT" in venue.asked[0]
    assert "fromId=3" in venue.asked[0]
    assert "fromId=2" in venue.asked[3]


def test_whose_trades_come_by_themselves_is_not_asked_for(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 0.1)
    venue.publish(3)
    venue.publish(1, "ETHUSDT")

    async def run():
        async with catching_up(tmp_path, venue.urls) as (catching, _, receive):
            await receive(*live(1, 2), *live(1, symbol="ETHUSDT"))
            catching.look_after([BTC, ETH])
            await catching.turn(time.monotonic())
            await receive(*live(3))
            await asyncio.sleep(0.1)
            await catching.turn(time.monotonic())

    asyncio.run(run())
    assert [path for path in venue.asked if "BTCUSDT" in path] == []
    assert len(venue.asked) == 1


@pytest.mark.parametrize("minutes", [0, 60])
def test_an_instrument_that_is_rarely_traded_is_no_fault_and_misses_nothing(tmp_path, venue, monkeypatch, minutes):
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 0.1)
    venue.shift_ms = -TWO_HOURS_MS
    venue.publish(7)
    venue.shift_ms = 0
    settings = settings_of(tmp_path, venue.urls, minutes=minutes, first_data_s=0.2, stale_s=0.2)
    with Recorded(settings) as recorded:
        with recording(settings):
            venue.wait_for(subscribed)
            asked = len(venue.asked)
            venue.wait_for(lambda v: len([path for path in v.asked[asked:] if "/trades" in path]) >= 4)
            assert recorded.ids(kinds=(Kind.TRADES,)) == [7]
            assert [mark.mark for mark in recorded.marks()] == ["connected"]
        missed = venue.publish(3)
        with recording(settings):
            recorded.wait_for(lambda r: set(missed) <= set(r.ids()))
        assert recorded.ids() == [7, *missed]


def test_an_instrument_whose_past_could_not_be_fetched_is_known_by_its_newest_trade(tmp_path, venue, monkeypatch):
    monkeypatch.setattr("dataflows.recorder.subscriptions._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(catch_up, "PATIENCE_SECONDS", 60.0)
    venue.publish(7)
    venue.rest_down = True
    settings = settings_of(tmp_path, venue.urls, first_data_s=0.2, stale_s=0.2)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(subscribed)
        venue.rest_down = False
        recorded.wait_for(lambda r: 7 in r.ids())
        marks, asked = len(recorded.marks()), len(venue.asked)
        venue.wait_for(lambda v: len([path for path in v.asked[asked:] if "/trades" in path]) >= 3)
        assert len(recorded.more().marks()) == marks
