import asyncio
import sys
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parent))
from recording_process import FEED, Recorded, recording, settings_of
from scripted_venue import ScriptedVenue

from core.records import Kind
from core.settings import JournalSettings
from dataflows.recorder import commit_log, ticks
from dataflows.recorder.clock import SteadyClock
from dataflows.recorder.commit_log import CommitLog
from dataflows.recorder.known_trades import KnownTrades
from dataflows.recorder.metrics import RecorderMetrics
from dataflows.recorder.ticks import Ticker, VenueClock
from exchanges.registry import venue as venue_named
from exchanges.rest import Rest
from storage.journal import Journal

TICK = 0.1
HOUR = 3_600_000_000


@pytest.fixture
def venue():
    with ScriptedVenue(("BTCUSDT",)) as venue:
        yield venue


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(ticks, "TICK_SECONDS", TICK)


def test_ticks_tell_the_venues_time_and_never_go_back(tmp_path, venue):
    venue.shift_ms = -3_600_000
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        venue.wait_for(lambda v: v.subscribed)
        recorded.wait_for(lambda r: len(r.ticks()) >= 2)
        venue.publish(3)
        recorded.wait_for(lambda r: len(r.ticks()) >= 4)
        assert recorded.ticks() == sorted(set(recorded.ticks()))
        lag = time.time_ns() // 1000 - recorded.ticks()[-1]
        assert lag >= 3_600_000_000
        assert "the machine's clock is +3600" in " ".join(component.health().why)


def test_without_an_answer_of_the_venue_ticks_go_one_interval_on_at_most(tmp_path, venue):
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings), Recorded(settings) as recorded:
        venue.wait_for(lambda v: v.subscribed)
        recorded.wait_for(lambda r: len(r.ticks()) >= 2)
        venue.rest_down = True
        answered_until = time.time_ns() // 1000
        time.sleep(10 * TICK)
        assert recorded.more().ticks()[-1] <= answered_until + TICK * 1_000_000
        venue.rest_down = False
        recorded.wait_for(lambda r: r.ticks()[-1] > answered_until + 5 * TICK * 1_000_000)


def test_the_venues_time_is_held_against_what_the_machines_clock_shows(tmp_path, venue, monkeypatch):
    step = [HOUR]
    monkeypatch.setattr("dataflows.recorder.recorder.wall_clock", lambda: time.time_ns() // 1000 + step[0])
    settings = settings_of(tmp_path, venue.urls)
    with recording(settings) as component, Recorded(settings) as recorded:
        recorded.wait_for(lambda r: "the machine's clock is +3600" in " ".join(component.health().why))
        step[0] = 0
        recorded.wait_for(lambda r: abs(component.health().figures[f"{FEED} clock_offset_seconds"]) < 60)
        assert "from the venue's" not in " ".join(component.health().why)
        # The offset is measured between two ticks; only the next tick finds that the recorder's own time is ahead.
        recorded.wait_for(lambda r: "stepped back" in " ".join(component.health().why))


def test_no_tick_is_written_while_frames_wait_for_room(tmp_path, venue, monkeypatch):
    monkeypatch.setattr(commit_log, "FOLLOW_SECONDS", 0.0)
    market, metrics = venue_named("simulated", **venue.urls), RecorderMetrics(CollectorRegistry()).of(FEED)
    gate, entered = threading.Event(), threading.Event()
    gate.set()

    def follow(block):
        if not gate.is_set():
            entered.set()
            gate.wait(20)

    async def run(journal):
        rest, clock = Rest(market), SteadyClock()
        log = CommitLog(journal, FEED, 1000, JournalSettings(), tmp_path, follow, metrics)
        await log.open()
        known = KnownTrades(market)
        ticker = Ticker(known, log, clock, VenueClock(market, rest, clock, metrics))
        ticker.connected.set()
        ticking = asyncio.create_task(ticker.run())
        await asyncio.sleep(5 * TICK)
        gate.clear()
        log.put_frames([b"{}"], clock.now())
        await asyncio.to_thread(entered.wait, 20)
        log.put_frames([b"{}" * 1000], clock.now())
        full_at, began = clock.now(), time.monotonic()
        assert not log.roomy_since(began)
        await asyncio.sleep(6 * TICK)
        relieved_at = clock.now()
        gate.set()
        await log.room()
        assert not log.roomy_since(began)
        assert log.roomy_since(time.monotonic())
        await asyncio.sleep(5 * TICK)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
        await log.close()
        await rest.close()
        return full_at, relieved_at

    with Journal(tmp_path / "journal") as journal:
        full_at, relieved_at = asyncio.run(run(journal))
        block = journal.read(FEED, -1, 1000)
    times = [record.received_at for record in block.records() if record.kind == Kind.TICK]
    assert min(times) < full_at
    assert max(times) > relieved_at
    assert not [at for at in times if full_at < at < relieved_at]
